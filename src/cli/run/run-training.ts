/** What the commands that train share: settings from flags, the run's folder, progress, Ctrl-C, the report. */
import { existsSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import type { z } from 'zod';
import { device } from '../../engine/device.ts';
import { runtime } from '../../engine/runtime/current.ts';
import { HeedError, messageOf } from '../../error.ts';
import { flagFor } from '../../flag-names.ts';
import { addSpan, inSpan, startTraces } from '../../monitoring/traces.ts';
import { faultsIn } from '../../options.ts';
import { loadPlugins } from '../../plugins.ts';
import { attachLoggers, type LoggerChoice, readLoggers } from '../../run/loggers/attach.ts';
import type { Ending } from '../../run/loggers/logger.ts';
import type { ProgressOptions } from '../../run/progress.ts';
import { writeReport } from '../../run/report.ts';
import { checkEmpty, createRun, FIRST_PRECISION, newFolder, openRun, type Run } from '../../run/run.ts';
import type { LearnerParts, RunResult, StageLearner, TrainingRecord } from '../../run/training-record.ts';
import { addClusterOptions, type ClusterFlags } from '../cluster/flags.ts';
import { pullProgress } from '../models/pull.ts';
import { addFlags, flagNames, type Shortcuts, settingsFrom } from '../program/flags.ts';
import { listenForInterrupt } from '../program/interrupt.ts';
import { createLoggedProgress, logFormatOption, logNote, writeLog } from '../program/log.ts';
import { address, createOutput, type Output, table } from '../program/output.ts';
import { checking, flagFaults, UsageError } from '../program/usage.ts';
import { sayFindings } from './findings.ts';
import { withWhatFits } from './too-large.ts';

/** Milliseconds between looks at the progress, which decides itself when to write. */
const TICK = 1000;

/** What learners say of long work within a step, as shares. */
const EVALUATED = ['completions evaluated', 'batches evaluated', 'items evaluated'];

interface TrainingProgress {
  /** Whether a step was taken. */
  readonly started: boolean;
  /** Prints a line above the live one. */
  note(text: string): void;
  /** Prints a line about something to look at. */
  warn(text: string): void;
  /** Says that a step was reached, with its figures; figures that it lacks stay unchanged. */
  at(step: number, figures: Readonly<Record<string, number>>): void;
  /** Says how far long work within a step is, such as an evaluation. */
  within(what: string, done: number, total: number): void;
  /** Ends the line. `seconds`: how long the training took in all. */
  end(seconds?: number): void;
}

/** Shows a training's progress. That of a resumed one begins with its first step: what came before is not measured. */
function createTrainingProgress(options: ProgressOptions, isResumed: boolean): TrainingProgress {
  const withShares = { ...options, shares: [...(options.shares ?? []), ...EVALUATED] };
  let progress = createLoggedProgress(withShares);
  let started = false;
  let reached = 0;
  let seen: Readonly<Record<string, number>> = {};
  let within: Readonly<Record<string, number>> = {};
  const draw = () => {
    if (started || !isResumed || Object.keys(within).length > 0) progress.update(reached, { ...seen, ...within });
  };
  draw();
  const ticking = setInterval(draw, TICK);
  return {
    get started() {
      return started;
    },
    note: (text) => progress.note(text),
    warn: (text) => progress.warn(text),
    at(step, figures) {
      // what came before the first step, such as an evaluation, does not count for the speed
      if (!started) progress = createLoggedProgress({ ...withShares, from: step });
      started = true;
      reached = step;
      seen = { ...seen, ...figures };
      within = {};
      draw();
    },
    within(what, done, total) {
      within = done < total ? { [what]: done / total } : {};
      draw();
    },
    end(seconds) {
      clearInterval(ticking);
      if (started || (!isResumed && process.stderr.isTTY)) progress.done(seconds);
    },
  };
}

/** A training that goes on after its end, such as a room in which people still are. */
export interface Staying {
  /**
   * Called after the result is printed; the command ends when it resolves. If it resolves to a function, that is called
   * once the run is closed.
   */
  stay?(learner: StageLearner): Promise<(() => Promise<void>) | undefined>;
}

/** What a command adds to a record. */
interface CommandView {
  shortcuts?: Shortcuts;
  /** Changes to the training that a pipeline does not have. */
  around?: (training: TrainingRecord) => TrainingRecord & Staying;
  /** Called with the folder of a run that is about to be resumed. */
  beforeResume?(folder: string): void;
}

interface TrainingCommand extends TrainingRecord, Staying, CommandView {
  summarize: NonNullable<TrainingRecord['summarize']>;
}

/** Adds the flags and the action that all training commands share. Pipelines use the same name for the training. */
export function addTraining(command: Command, record: TrainingRecord, view: CommandView = {}): void {
  const { around, ...rest } = view;
  const definition = { ...(around ? around(record) : record), ...rest } as TrainingCommand;
  addFlags(command, definition.schema, definition.shortcuts);
  addClusterOptions(addRunOptions(command)).action(() => train(command, definition));
}

/** Adds the flags for the run's folder, checkpoints and logs. */
export const addRunOptions = (command: Command): Command =>
  command
    .optionsGroup('The run:')
    .option('--out <dir>', 'folder of the run (default: runs/<time>-<name>)')
    .option('--resume <run>', 'continue a stopped run, with its settings')
    .option('--checkpoint-seconds <n>', 'seconds between checkpoints (default: 30)', seconds)
    .option(
      '--log <where>',
      'also log to: tensorboard[:DIR], mlflow:URL, webhook:URL (alerts), prometheus:PORT (to be read at /metrics)',
    )
    .addOption(logFormatOption());

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0))
    throw new UsageError(`--checkpoint-seconds: expected a number of at least 0, got "${text}"`);
  return value;
}

/** The loggers that `--log` names. Read late, since a plugin may register one. */
export function loggersOf(text: string | undefined): LoggerChoice[] {
  try {
    return text === undefined ? [] : readLoggers(text);
  } catch (error) {
    throw new UsageError(`--log: ${messageOf(error)}`);
  }
}

interface Flags extends ClusterFlags {
  out?: string;
  resume?: string;
  checkpointSeconds?: number;
  log?: string;
  json?: boolean;
}

/** Milliseconds after which a training that still opens says so. */
const OPENING = 1000;

async function train(command: Command, definition: TrainingCommand): Promise<void> {
  const flags = command.opts<Flags>();
  const output = createOutput(flags);
  const choices = loggersOf(flags.log);
  if (flags.on !== undefined && !definition.manyRuns) return trainingOnCluster(command, definition, flags, output);
  const traces = await startTraces({ service: `heed-${definition.name}` });
  runtime(); // if the engine does not start, that comes first
  if (flags.resume !== undefined) definition.beforeResume?.(flags.resume);
  const old = flags.resume === undefined ? undefined : open(flags.resume, command, definition);
  await loadPlugins(old?.info.plugins);
  let learner: StageLearner | undefined;
  let run = old;
  let shown: TrainingProgress | undefined;
  let progress: Pick<TrainingProgress, 'note' | 'warn'> = createLoggedProgress();
  let interrupted: ReturnType<typeof listenForInterrupt> | undefined;
  let loggers: ReturnType<typeof attachLoggers> | undefined;
  let ending: Ending = 'failed';
  let again: (() => Promise<void>) | undefined;
  let folderWasThere = false;
  try {
    const opening = setTimeout(() => logNote('Opening the model, the data or the environment …'), OPENING);
    try {
      const within: LearnerParts['onProgress'] = (...work) => shown?.within(...work);
      learner = await (old ? oldLearner(old, definition, within) : checkedLearner(command, definition, within));
    } finally {
      clearTimeout(opening);
    }
    // until now a signal has the system's effect: what opens blocks JavaScript for seconds, and nothing is lost
    interrupted = listenForInterrupt((text) => progress.note(text));
    const { name, steps } = definition.about(learner);
    const { options } = learner;
    folderWasThere = flags.out !== undefined && existsSync(flags.out);
    run ??= createRun(flags.out, { name, command: definition.name, config: options, seed: options.seed });
    const how = [options.precision === 'bf16' ? 'in bf16' : '', device() === 'cpu' ? '' : `on ${device()}`].filter(
      Boolean,
    );
    logNote(`${name} in ${run.folder}${how.length > 0 ? `, computing ${how.join(' ')}` : ''}`);
    loggers = attachLoggers(run, choices, (text) => progress.warn(text));
    let result: RunResult | undefined;
    shown = createTrainingProgress(
      // runs of many end in bursts, and later ones resemble earlier ones
      { total: steps, shares: definition.shares, window: definition.manyRuns ? Number.POSITIVE_INFINITY : undefined },
      Boolean(old),
    );
    progress = shown;
    try {
      const stepped = spanByStep();
      const parts: Parameters<TrainingRecord['train']>[1] = {
        run,
        signal: interrupted.signal,
        checkpointSeconds: flags.checkpointSeconds,
        ...(flags.on !== undefined && {
          runCells: await (await onRay()).cellsOnCluster(run.folder, flags, shown.note),
        }),
        onWarning: shown.warn,
        onStep(step) {
          stepped(step.step);
          shown?.at(step.step, definition.live(step));
        },
      };
      const span = { attributes: { 'heed.run': basename(run.folder), 'heed.command': definition.name } };
      const stage = learner;
      result = await inSpan('training', span, () => definition.train(stage, parts));
    } catch (error) {
      throw withWhatFits(error, options, run.folder);
    } finally {
      shown.end(result?.seconds);
    }
    ending = result ? 'finished' : 'stopped';
    const path = writeReport(run, definition.report(run.folder));
    if (!result) {
      const on = flags.on === undefined ? '' : ` --on ${flags.on}`;
      logNote(`Stopped, with a checkpoint. Continue with: heed ${definition.name} --resume ${run.folder}${on}`);
      process.exitCode = interrupted.exitCode;
      return;
    }
    output.say(table([...definition.summarize(result), ['run', run.folder], ['report', address(path)]]));
    if (old && !shown.started)
      logNote(`"${run.folder}" had already finished: this is its result. To train again, leave out --resume.`);
    if (result.diagnosis) sayFindings(output, result.diagnosis);
    output.result(result);
    again = await definition.stay?.(learner);
  } finally {
    await loggers?.close(ending);
    await traces?.close();
    interrupted?.dispose();
    run?.close();
    learner?.[Symbol.dispose]();
    if (run && !old && ending === 'failed') discardUnbegun(run.folder, folderWasThere);
  }
  await again?.();
}

/** What a run's folder holds before the first row or checkpoint. */
const UNBEGUN = /^(config\.json|metrics\.jsonl|samples\.jsonl|feedback\.db(-wal|-shm)?)$/;

/** Removes a run that never began, so that the same command can be given again. */
function discardUnbegun(folder: string, folderWasThere: boolean): void {
  const names = readdirSync(folder);
  const hasBegun = (name: string) =>
    !UNBEGUN.test(name) || (/\.jsonl$/.test(name) && statSync(join(folder, name)).size > 0);
  if (names.some(hasBegun)) return;
  for (const name of names) rmSync(join(folder, name));
  if (!folderWasThere) rmdirSync(folder);
}

/** Adds a span for each step of a training: from the end of the one before to its own. */
function spanByStep(): (step: number) => void {
  let start = Date.now();
  return (step) => {
    const end = Date.now();
    addSpan('step', { start, end, attributes: { 'heed.step': step } });
    start = end;
  };
}

/** Flags of parts of this machine. */
const HERE = ['log', 'plugin', 'askPeople', 'fromProject', 'more'];

async function trainingOnCluster(
  command: Command,
  definition: TrainingCommand,
  { resume, out, checkpointSeconds, ...flags }: Flags,
  output: Output,
): Promise<void> {
  let settings = settingsFrom(command, definition.schema, definition.shortcuts);
  const here = HERE.filter((name) => name in flags);
  if (settings.teacher === 'human') here.push('teacher human');
  if (here.length > 0) {
    throw new UsageError(`${flagFor(here[0])} does not go together with --on: it needs this machine`);
  }
  if (resume === undefined) checking(() => definition.check(settings), settings);
  else {
    const run = open(resume, command, definition);
    settings = run.info.config as Record<string, unknown>;
    run.close();
  }
  const folder = resume ?? out ?? newFolder(definition.name);
  const { isOnCluster, trainOnCluster, untilInterrupted } = await onRay();
  if (resume === undefined && existsSync(folder) && !isOnCluster(folder)) checkEmpty(folder);
  logNote(`${definition.name} on ${flags.on} in ${folder}`);
  const following = async (signal: AbortSignal) => {
    const order = { command: definition.name, settings, checkpointSeconds };
    // the job's own summary has its paths, not ours
    const onLine = (line: string) => line.startsWith('  ') || logNote(line);
    const parts = { signal, onLine, onWarning: (text: string) => writeLog('warn', text) };
    const result = (await trainOnCluster(folder, order, flags, parts)) as unknown as RunResult;
    const report = address(join(folder, 'report.html'));
    output.say(table([...definition.summarize(result), ['run', folder], ['report', report]]));
    output.result(result);
  };
  await untilInterrupted(following, `heed cluster attach ${folder}`);
}

/** What --on ray needs, which a training on this machine need not load. */
const onRay = () => import('../cluster/on-ray.ts');

/** Creates a learner, and shows what is pulled for it. Throws at once if settings are wrong. */
function create(
  definition: TrainingCommand,
  settings: Record<string, unknown>,
  onProgress: LearnerParts['onProgress'],
  folder?: string,
): StageLearner | Promise<StageLearner> {
  const { done, ...pull } = pullProgress('pull');
  const learner = definition.open(settings, { folder, pull, onNotice: logNote, onProgress });
  return learner instanceof Promise ? learner.finally(done) : learner;
}

function oldLearner(
  { folder, info }: Run,
  definition: TrainingCommand,
  onProgress: LearnerParts['onProgress'],
): StageLearner | Promise<StageLearner> {
  const { shape = {} } = definition.schema as Partial<z.ZodObject>;
  const before = 'precision' in shape ? { precision: FIRST_PRECISION } : {};
  try {
    return create(definition, { ...before, ...(info.config as Record<string, unknown>) }, onProgress, folder);
  } catch (cause) {
    const faults = faultsIn(cause);
    if (!faults) throw cause;
    throw new HeedError(
      `The settings in "${join(folder, 'config.json')}" are wrong: ${flagFaults(faults, info.config)}`,
      {
        hint: 'Was the file edited by hand, or made by another version of heed?',
        cause,
      },
    );
  }
}

function checkedLearner(
  command: Command,
  definition: TrainingCommand,
  onProgress: LearnerParts['onProgress'],
): StageLearner | Promise<StageLearner> {
  const settings = settingsFrom(command, definition.schema, definition.shortcuts);
  const learner = checking(() => create(definition, settings, onProgress), settings);
  if (!definition.checkedLate || !(learner instanceof Promise)) return learner;
  return learner.catch((error: unknown) => {
    throw checking(() => {
      throw error;
    }, settings);
  });
}

function open(folder: string, command: Command, { name, schema, shortcuts }: TrainingCommand): Run {
  const extra = flagNames(command, schema, shortcuts);
  if (command.opts<Flags>().out !== undefined) extra.push('out');
  if (extra.length > 0) {
    throw new UsageError(
      `--resume continues a run with its own settings, so ${extra.map(flagFor).join(', ')} cannot be set`,
      {
        hint: 'leave the other settings out, or start a new run with them',
      },
    );
  }
  const run = openRun(folder);
  if (run.info.command === name) return run;
  const { command: other } = run.info;
  run.close();
  throw new UsageError(`"${folder}" is a run of "heed ${other}", not of "heed ${name}"`, {
    hint: `resume it with: heed ${other} --resume ${folder}`,
  });
}
