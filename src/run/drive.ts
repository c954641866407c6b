/** A training from its start to its end in a run's folder: what all trainers share. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { HeedError, messageOf } from '../error.ts';
import type { Run } from './run.ts';

/** What takes a learner to its end: where the run is written, a signal and callbacks. */
export interface TrainParts<Step> {
  /** The run that metrics, samples and checkpoints go to. */
  run: Run;
  /** Stops after the iteration under way, with a checkpoint. */
  signal?: AbortSignal;
  /** Called after each step. */
  onStep?: (step: Step) => void;
  /** Wall time between checkpoints: 30 unless told, 0 for one every iteration. */
  checkpointSeconds?: number;
  /** Told what a person should know and need not act on, such as a damaged checkpoint that was passed over. */
  onWarning?: (text: string) => void;
}

/** What `driveRun` needs of a trainer. */
export interface Drivable<Step> {
  /** Rejects with the signal's reason where it aborts what the learner waits for; what it saves then goes on from there. */
  next(signal?: AbortSignal): Promise<Step>;
  /** The learner's state as plain data and tensors. */
  save(): { state: unknown; tensors: Parameters<Run['saveCheckpoint']>[1]['tensors'] };
  /** Takes over what `save` returned. */
  restore(checkpoint: { state: unknown; tensors: unknown }): void;
}

/** The steps of a learner until it is done or the signal aborts; releases it. */
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
  /** Of a training that is over. */
  result?: Result;
}

/**
 * Takes a learner to its end: a row of metrics and a call of `onStep` each step, a checkpoint at the start, every
 * `checkpointSeconds` and at the end. A process that is killed at any moment loses what came after the last checkpoint, and a resumed run computes
 * it again, the same.
 */
export async function driveRun<Step extends { step: number; done: boolean }, Result extends { run: string }>(
  learner: Drivable<Step>,
  parts: TrainParts<Step> & {
    /** What is known before the first step, for the first row of metrics. */
    before(): Record<string, number> | Promise<Record<string, number>>;
    /** Writes samples where it has any, and gives the step's row of metrics. */
    record(step: Step): Record<string, number>;
    result(last: Step, seconds: number): Result;
  },
): Promise<Result | undefined> {
  const { run, signal, onStep = () => {}, checkpointSeconds = 30, onWarning = process.emitWarning } = parts;
  const began = performance.now();
  let earlier = 0;
  let step = 0;
  const seconds = () => earlier + (performance.now() - began) / 1000;
  let saved = began;
  const save = (result?: Result) => {
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
    save();
  }
  const stopped = (error: unknown) => signal?.aborted && error === signal.reason;
  const stop = () => {
    // the first row of metrics is written again when the run goes on from its start
    if (step > 0) save();
    return undefined;
  };
  try {
    if (step === 0) run.log(0, await parts.before());
  } catch (error) {
    if (stopped(error)) return stop();
    throw error;
  }

  for (;;) {
    await breathe(); // signals are heard between iterations
    if (signal?.aborted) return stop();
    const from = step;
    let latest: Step;
    try {
      latest = await learner.next(signal);
    } catch (error) {
      if (stopped(error)) return stop();
      throw stoppedBy(error, from, run);
    }
    step = latest.step;
    run.log(step, parts.record(latest));
    onStep(latest);
    if (latest.done) {
      const result = parts.result(latest, seconds());
      save(result);
      return result;
    }
    if (performance.now() - saved >= checkpointSeconds * 1000) save();
  }
}

/** A checkpoint that no training could go on from must not take the place of one that it could. */
function checkFinite(tensors: ReturnType<Drivable<never>['save']>['tensors']): void {
  for (const [name, { dtype, data }] of Object.entries(tensors)) {
    if (dtype !== 'F32' || (data as Float32Array).every(Number.isFinite)) continue;
    throw new HeedError(`"${name}" holds a number that is not finite: no checkpoint is made of it`, {
      hint: 'Start again with a lower learning rate; the checkpoints that are there were good.',
    });
  }
}

/** Whether a run got as far as its first checkpoint; a damaged one counts. */
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
  return new HeedError(`The run stopped in the batch after step ${step}: ${cause.message}`, {
    hint: `${advice}The last good checkpoint is kept: heed ${info.command} --resume ${folder} goes on from there.`,
    cause,
  });
}
