/** What the commands that train share: settings from flags, a run's folder, progress, Ctrl-C, the report. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { runtime } from '../../engine/index.ts';
import { HeedError, messageOf } from '../../error.ts';
import { faultsIn } from '../../options.ts';
import { type Learner, type Training, trainings } from '../../pipeline/index.ts';
import { loadPlugins } from '../../plugins.ts';
import { createProgress, createRun, openRun, type ProgressOptions, type Run, writeReport } from '../../run/index.ts';
import { type Ending, type LoggerChoice, readLoggers, tellOf } from '../../run/loggers/index.ts';
import { pullProgress } from '../models/pull.ts';
import { addFlags, givenFlags, type Shortcuts, settingsFrom } from '../program/flags.ts';
import { listenForInterrupt } from '../program/interrupt.ts';
import { address, createOutput, table } from '../program/output.ts';
import { checking, inWords, UsageError } from '../program/usage.ts';

interface Telling<R extends { run: string }> {
  shortcuts?: Shortcuts;
  /** What the command does besides what a pipeline does. */
  around?: (training: Training) => Training;
  /** Whether settings can only be checked against what is opened for them. */
  checkedLate?: boolean;
  /** How the live line tells of it. */
  progress?: Pick<ProgressOptions, 'window'>;
  /** The result for a person. */
  tell(result: R): [name: string, value: string][];
}

interface TrainingCommand extends Training, Telling<{ run: string }> {
  command: string;
}

/** Adds what every command that trains takes, and its action. What it trains, pipelines know by the same name. */
export function addTraining<R extends { run: string }>(command: Command, name: string, telling: Telling<R>): void {
  const { around = (training) => training, ...rest } = telling;
  const known: TrainingCommand = { ...around(trainings[name]), ...rest, command: name };
  addFlags(command, known.schema, known.shortcuts);
  addRunOptions(command).action(() => training(command, known));
}

/** Where the run is, and how it is kept. */
export const addRunOptions = (command: Command): Command =>
  command
    .optionsGroup('The run:')
    .option('--out <dir>', 'folder of the run (default: runs/<time>-<name>)')
    .option('--resume <run>', 'continue a stopped run, with its settings')
    .option('--checkpointSeconds <n>', 'seconds between checkpoints (default: 30)', seconds)
    .option('--log <where>', 'also log to: tensorboard[:DIR], mlflow:URL, webhook:URL (alerts)');

function seconds(given: string): number {
  const value = Number(given);
  if (given.trim() === '' || !(value >= 0))
    throw new UsageError(`--checkpointSeconds: expected a number from 0 up, got "${given}"`);
  return value;
}

/** What `--log` names. It is read late: a plugin may have registered a logger. */
export function loggersOf(text: string | undefined): LoggerChoice[] {
  try {
    return text === undefined ? [] : readLoggers(text);
  } catch (error) {
    throw new UsageError(`--log: ${messageOf(error)}`);
  }
}

interface Flags {
  out?: string;
  resume?: string;
  checkpointSeconds?: number;
  log?: string;
  json?: boolean;
}

async function training(command: Command, known: TrainingCommand): Promise<void> {
  const flags = command.opts<Flags>();
  const output = createOutput(flags);
  const log = loggersOf(flags.log);
  runtime(); // where the engine does not start, that is the first thing to know
  const old = flags.resume === undefined ? undefined : open(flags.resume, command, known);
  await loadPlugins(old?.info.plugins);
  let learner: Learner | undefined;
  let run = old;
  const interrupted = listenForInterrupt((text) => progress.note(text));
  let progress = createProgress();
  let telling: ReturnType<typeof tellOf> | undefined;
  let ending: Ending = 'failed';
  try {
    learner = await (old ? oldLearner(old, known) : checkedLearner(command, known));
    const { name, steps } = known.about(learner);
    const { options } = learner;
    run ??= createRun(flags.out, { name, command: known.command, config: options, seed: options.seed });
    process.stderr.write(`${name} in ${run.folder}\n`);
    telling = tellOf(run, log, (text) => progress.note(text));
    let seen: Record<string, number> = {};
    let result: { run: string } | undefined;
    let started = false;
    try {
      result = await known.train(learner, {
        run,
        signal: interrupted.signal,
        checkpointSeconds: flags.checkpointSeconds,
        onWarning: (text) => progress.note(text),
        onStep(step) {
          if (!started) progress = createProgress({ total: steps, from: step.step, ...known.progress });
          started = true;
          seen = { ...seen, ...known.live(step) };
          progress.update(step.step, seen);
        },
      });
    } finally {
      if (started) progress.done();
    }
    ending = result ? 'finished' : 'stopped';
    const path = writeReport(run, known.report(run.folder));
    if (!result) {
      process.stderr.write(`Stopped, with a checkpoint. Go on with: heed ${known.command} --resume ${run.folder}\n`);
      process.exitCode = interrupted.exitCode;
      return;
    }
    output.say(table([...known.tell(result), ['run', run.folder], ['report', address(path)]]));
    output.result(result);
  } finally {
    await telling?.close(ending);
    interrupted.dispose();
    run?.close();
    learner?.[Symbol.dispose]();
  }
}

/** Makes a learner, and shows what is pulled for it. Throws at once where settings are wrong. */
function create(
  { create }: TrainingCommand,
  settings: Record<string, unknown>,
  folder?: string,
): Learner | Promise<Learner> {
  const { done, ...pull } = pullProgress('pull');
  const learner = create(settings, { folder, pull, onNotice: (text) => void process.stderr.write(`${text}\n`) });
  return learner instanceof Promise ? learner.finally(done) : learner;
}

function oldLearner({ folder, info }: Run, known: TrainingCommand): Learner | Promise<Learner> {
  try {
    return create(known, info.config as Record<string, unknown>, folder);
  } catch (cause) {
    const faults = faultsIn(cause);
    if (!faults) throw cause;
    throw new HeedError(`The settings in "${join(folder, 'config.json')}" are wrong: ${inWords(faults, info.config)}`, {
      hint: 'Was the file edited by hand, or made by another version of heed?',
      cause,
    });
  }
}

function checkedLearner(command: Command, known: TrainingCommand): Learner | Promise<Learner> {
  const settings = settingsFrom(command, known.schema, known.shortcuts);
  const learner = checking(() => create(known, settings), settings);
  if (!known.checkedLate || !(learner instanceof Promise)) return learner;
  return learner.catch((error: unknown) => {
    throw checking(() => {
      throw error;
    }, settings);
  });
}

function open(folder: string, command: Command, { command: name, schema, shortcuts }: TrainingCommand): Run {
  const extra = givenFlags(command, schema, shortcuts);
  if (command.opts<Flags>().out !== undefined) extra.push('out');
  if (extra.length > 0) {
    throw new UsageError(`--resume goes on with a run's own settings, but --${extra.join(', --')} was given too`, {
      hint: 'leave the other settings out, or start a new run with them',
    });
  }
  const run = openRun(folder);
  if (run.info.command === name) return run;
  const { command: other } = run.info;
  run.close();
  throw new UsageError(`"${folder}" is a run of "heed ${other}", not of "heed ${name}"`, {
    hint: `resume it with: heed ${other} --resume ${folder}`,
  });
}
