/** What the commands that train share: settings from flags, a run's folder, progress, Ctrl-C, the report. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { ZodError, type z } from 'zod';
import { runtime } from '../engine/index.ts';
import { HeedError } from '../error.ts';
import { type Learner, type Training, trainings } from '../pipeline/index.ts';
import {
  createProgress,
  createRun,
  openRun,
  type Report,
  type Run,
  type TrainParts,
  writeReport,
} from '../run/index.ts';
import { addFlags, givenFlags, type Shortcuts, settingsFrom } from './flags.ts';
import { listenForInterrupt } from './interrupt.ts';
import { address, createOutput, table } from './output.ts';
import { pullProgress } from './pull.ts';
import { checking, inWords, UsageError } from './usage.ts';

export interface Recipe<L extends Learner, S extends { step: number }, R extends { run: string }> {
  command: string;
  schema: z.ZodType;
  shortcuts?: Shortcuts;
  /** Makes the learner; throws at once, before it awaits anything, where the settings are wrong. */
  create(settings: Record<string, unknown>, tell: (text: string) => void): L | Promise<L>;
  /** What the run is of, and its steps in all. */
  about(learner: L): { name: string; steps: number };
  train(learner: L, parts: TrainParts<S>): Promise<R | undefined>;
  report(folder: string): Report;
  /** For the progress line; what a step does not tell stays as it was. */
  live(step: S): Record<string, number>;
  /** The result for a person. */
  tell(result: R): [name: string, value: string][];
}

/** A command that a pipeline knows too, with what a person is told of its result. */
export function commandOf<R extends { run: string }>(
  command: string,
  { shortcuts, tell }: Pick<Recipe<Learner, { step: number }, R>, 'shortcuts' | 'tell'>,
): Recipe<Learner, { step: number }, R> {
  const { create, ...training } = trainings[command] as Training<Learner, { step: number }, R>;
  return {
    ...training,
    command,
    shortcuts,
    tell,
    create(settings, tell) {
      const { done, ...pull } = pullProgress('pull');
      const made = create(settings, { pull, tell });
      return 'then' in made ? made.finally(done) : made;
    },
  };
}

/** Adds what every command that trains takes, and its action. */
export function addTraining<L extends Learner, S extends { step: number }, R extends { run: string }>(
  command: Command,
  recipe: Recipe<L, S, R>,
): void {
  addFlags(command, recipe.schema, recipe.shortcuts);
  addRunOptions(command).action(() => training(command, recipe));
}

/** Where the run is, and how it is kept. */
export const addRunOptions = (command: Command): Command =>
  command
    .optionsGroup('The run:')
    .option('--out <dir>', 'folder of the run (default: runs/<time>-<name>)')
    .option('--resume <run>', 'go on with a run that was stopped, with its settings')
    .option('--checkpointSeconds <n>', 'wall time between checkpoints (default: 30)', seconds);

function seconds(given: string): number {
  const value = Number(given);
  if (given.trim() === '' || !(value >= 0))
    throw new UsageError(`--checkpointSeconds: expected a number from 0 up, got "${given}"`);
  return value;
}

interface Flags {
  out?: string;
  resume?: string;
  checkpointSeconds?: number;
  json?: boolean;
}

async function training<L extends Learner, S extends { step: number }, R extends { run: string }>(
  command: Command,
  recipe: Recipe<L, S, R>,
): Promise<void> {
  const flags = command.opts<Flags>();
  const output = createOutput(flags);
  runtime(); // where the engine does not start, that is the first thing to know
  const old = flags.resume === undefined ? undefined : open(flags.resume, command, recipe);
  let learner: L | undefined;
  let run = old;
  const interrupted = listenForInterrupt((text) => progress.note(text));
  let progress = createProgress();
  try {
    learner = await (old ? oldLearner(old, recipe) : checkedLearner(command, recipe));
    const { name, steps } = recipe.about(learner);
    const { options } = learner;
    run ??= createRun(flags.out, { name, command: recipe.command, config: options, seed: options.seed });
    process.stderr.write(`${name} in ${run.folder}\n`);
    let seen: Record<string, number> = {};
    let result: R | undefined;
    let started = false;
    try {
      result = await recipe.train(learner, {
        run,
        signal: interrupted.signal,
        checkpointSeconds: flags.checkpointSeconds,
        onWarning: (text) => progress.note(text),
        onStep(step) {
          if (!started) progress = createProgress({ total: steps, from: step.step });
          started = true;
          seen = { ...seen, ...recipe.live(step) };
          progress.update(step.step, seen);
        },
      });
    } finally {
      if (started) progress.done();
    }
    const path = writeReport(run, recipe.report(run.folder));
    if (!result) {
      process.stderr.write(`Stopped, with a checkpoint. Go on with: heed ${recipe.command} --resume ${run.folder}\n`);
      process.exitCode = interrupted.exitCode;
      return;
    }
    output.say(table([...recipe.tell(result), ['run', run.folder], ['report', address(path)]]));
    output.result(result);
  } finally {
    interrupted.dispose();
    run?.close();
    learner?.release();
  }
}

const say = (text: string) => void process.stderr.write(`${text}\n`);

function oldLearner<L extends Learner, S extends { step: number }, R extends { run: string }>(
  { folder, info }: Run,
  { create }: Recipe<L, S, R>,
): L | Promise<L> {
  try {
    return create(info.config as Record<string, unknown>, say);
  } catch (cause) {
    if (!(cause instanceof ZodError)) throw cause;
    throw new HeedError(`The settings in "${join(folder, 'config.json')}" are wrong: ${inWords(cause, info.config)}`, {
      hint: 'Was the file edited by hand, or made by another version of heed?',
      cause,
    });
  }
}

function checkedLearner<L extends Learner, S extends { step: number }, R extends { run: string }>(
  command: Command,
  { schema, shortcuts, create }: Recipe<L, S, R>,
): L | Promise<L> {
  const settings = settingsFrom(command, schema, shortcuts);
  return checking(() => create(settings, say), settings);
}

function open<L extends Learner, S extends { step: number }, R extends { run: string }>(
  folder: string,
  command: Command,
  { command: name, schema, shortcuts }: Recipe<L, S, R>,
): Run {
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
