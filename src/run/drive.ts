/** Runs a learner to its end in a run's folder: what all trainers share. */

import { CallError, HeedError, messageOf, reworded } from '../error.ts';
import { breathe, join, readdirSync } from '../node.ts';
import { readState } from './checkpoint.ts';
import type { MetricsRow, Run } from './run.ts';

/** What every trainer takes: where to write the run, a signal and callbacks. */
export interface TrainParts<Step> {
  /** The run that metrics, samples and checkpoints go to. */
  run: Run;
  /** Stops after the current iteration, with a checkpoint. */
  signal?: AbortSignal | undefined;
  /** Called after each step. */
  onStep?: (step: Step) => void;
  /** Seconds between checkpoints; 0 for one every iteration. Default 30. */
  checkpointSeconds?: number;
  /** Called with warnings that need no action, such as a damaged checkpoint that was skipped. */
  onWarning?: (text: string) => void;
}

/** The parts of a trainer that `driveRun` uses. */
export interface Drivable<Step> {
  /**
   * Takes one step. Rejects with the signal's reason if the signal aborts a wait; the learner can then be saved and
   * resumed.
   */
  next(signal?: AbortSignal): Promise<Step>;
  /** Called before `save`, for what takes time, such as a checkpoint at a service. */
  prepareSave?(): Promise<void>;
  /** The learner's state as plain data and tensors. */
  save(): { state: unknown; tensors: Parameters<Run['saveCheckpoint']>[1]['tensors'] };
  /** Takes over what `save` returned. */
  restore(checkpoint: { state: unknown; tensors: unknown }): void;
}

/** The steps of a learner until it is done or the signal aborts. Disposes of the learner. */
export async function* stepsOf<Step extends { done: boolean }>(
  learner: { next(signal?: AbortSignal): Promise<Step>; [Symbol.dispose](): void },
  signal?: AbortSignal,
): AsyncGenerator<Step, void, undefined> {
  try {
    for (let done = false; !done && !signal?.aborted; ) {
      const step = await learner.next(signal);
      ({ done } = step);
      yield step;
    }
  } finally {
    learner[Symbol.dispose]();
  }
}

interface DrivenState<Result> {
  learner: unknown;
  seconds: number;
  /** The result, once training has finished. */
  result?: Result;
}

/**
 * Runs a learner to its end. Each step gives a row of metrics and a call of `onStep`. Checkpoints are written at the
 * start, every `checkpointSeconds` and at the end. A killed process loses what came after the last checkpoint; a
 * resumed run computes it again, identically.
 */
export async function driveRun<Step extends { step: number; done: boolean }, Result extends { run: string }>(
  learner: Drivable<Step>,
  parts: TrainParts<Step> & {
    /** Metrics before the first step, for the first row. */
    before(): Record<string, number> | Promise<Record<string, number>>;
    /** Writes samples, if there are any, and returns the step's row of metrics. */
    record(step: Step): Record<string, number> | Promise<Record<string, number>>;
    result(last: Step, seconds: number): Result | Promise<Result>;
  },
): Promise<Result | undefined> {
  const { run, signal, onStep = () => {}, checkpointSeconds = 30, onWarning = process.emitWarning } = parts;
  const began = performance.now();
  let earlier = 0;
  let step = 0;
  const seconds = () => earlier + (performance.now() - began) / 1000;
  let saved = began;
  const save = async (result?: Result) => {
    await learner.prepareSave?.().catch((error) => {
      throw stoppedBy(error, step, run);
    });
    const { state, tensors } = learner.save();
    checkFinite(tensors);
    run.saveCheckpoint(step, { state: { learner: state, seconds: seconds(), result }, tensors });
    saved = performance.now();
  };

  if (hasCheckpoint(run.folder)) {
    const checkpoint = run.loadCheckpoint();
    const state = checkpoint.state as DrivenState<Result>;
    for (const warning of checkpoint.warnings) onWarning(warning);
    if (state?.result) return { ...state.result, run: run.folder };
    restore(learner, { state: state?.learner, tensors: checkpoint.tensors }, run.folder);
    step = checkpoint.step;
    earlier = state.seconds;
  } else {
    await save();
  }
  const stopped = (error: unknown) => signal?.aborted && error === signal.reason;
  const stop = async () => {
    // the first row of metrics is written again when the run resumes from its start
    if (step > 0) await save();
    return undefined;
  };
  try {
    if (step === 0) run.log(0, await parts.before());
  } catch (error) {
    if (stopped(error)) return stop();
    throw error;
  }

  for (;;) {
    await breathe(); // signals arrive between iterations
    if (signal?.aborted) return stop();
    const from = step;
    let latest: Step;
    try {
      latest = await learner.next(signal);
    } catch (error) {
      if (stopped(error)) return stop();
      if (error instanceof CallError && step > 0) await save(); // only the step that failed is lost
      throw stoppedBy(error, from, run);
    }
    step = latest.step;
    run.log(step, await parts.record(latest));
    onStep(latest);
    if (latest.done) {
      const result = await parts.result(latest, seconds());
      await save(result);
      return result;
    }
    if (performance.now() - saved >= checkpointSeconds * 1000) await save();
  }
}

/**
 * Seconds that a run has trained, over all its processes and without the pauses between them, as of its newest
 * checkpoint. Of a run without one, such as another trainer's, the time from its first row to its last.
 */
export function trainingSeconds(folder: string, rows: readonly MetricsRow[]): number {
  const { seconds, result } = (readState(folder) ?? {}) as Partial<DrivenState<{ seconds?: number }>>;
  const trained = result?.seconds ?? seconds; // a result is older than the checkpoint that has it
  if (trained !== undefined) return trained;
  return rows.length > 1 ? rows[rows.length - 1].time - rows[0].time : Number.NaN;
}

/** A checkpoint with non-finite numbers must not replace a good one. */
function checkFinite(tensors: ReturnType<Drivable<never>['save']>['tensors']): void {
  for (const [name, { dtype, data }] of Object.entries(tensors)) {
    if (dtype !== 'F32' || (data as Float32Array).every(Number.isFinite)) continue;
    throw new HeedError(`"${name}" has a number that is not finite, so no checkpoint is saved`, {
      hint: 'Start again with a lower learning rate; the existing checkpoints are good.',
    });
  }
}

/** Whether a run has a checkpoint; a damaged one counts. */
function hasCheckpoint(folder: string): boolean {
  try {
    return readdirSync(join(folder, 'checkpoints')).some((name) => /^\d{10}/.test(name));
  } catch {
    return false;
  }
}

function restore(
  learner: Pick<Drivable<unknown>, 'restore'>,
  checkpoint: { state: unknown; tensors: unknown },
  folder: string,
): void {
  try {
    learner.restore(checkpoint);
  } catch (cause) {
    throw new HeedError(`The checkpoint of "${folder}" does not fit this training: ${messageOf(cause)}`, {
      hint: 'Resume a run with the command, the settings and the version of heed that started it.',
      cause,
    });
  }
}

function stoppedBy(cause: unknown, step: number, { folder, info }: Run): unknown {
  if (!(cause instanceof HeedError)) return cause;
  const advice = cause.hint ? `${cause.hint.replace(/\.$/, '')}. ` : '';
  return reworded(cause, `The run stopped in the batch after step ${step}: ${cause.message}`, {
    hint: `${advice}The last good checkpoint is kept: heed ${info.command} --resume ${folder} continues from there.`,
    cause,
  });
}
