/**
 * A training from its start to its end in a run's folder: what every trainer here shares (`driveRun`), and PPO on the
 * environment's own reward.
 *
 * Run it: heed rl --env CartPole-v1
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { z } from 'zod';
import { createVectorEnvironment, type Environment, makeEnvironment, type VectorState } from '../env/index.ts';
import { HeedError, messageOf } from '../error.ts';
import type { Run } from '../run/index.ts';
import { createEvaluator, type Evaluation } from './evaluate.ts';
import { createPpo, type PpoMetrics, type PpoState } from './ppo.ts';
import { ppoSchema } from './ppo-options.ts';
import { ppoPresets } from './presets.ts';

export const rlSchema = z.object({
  env: z.string().default('CartPole-v1').describe('environment'),
  steps: z.number().int().min(1).default(60_000).describe('environment steps in all'),
  seed: z.number().int().min(0).default(0).describe('seed of everything that is drawn'),
  evaluations: z.number().int().min(0).default(20).describe('evaluations on the way, evenly spaced'),
  episodes: z.number().int().min(1).default(100).describe('greedy episodes of an evaluation'),
  ppo: ppoSchema.prefault({}),
});
export type RlOptions = z.infer<typeof rlSchema>;
export type RlInput = z.input<typeof rlSchema>;

/** Checked settings: what is given, over the environment's preset, over the defaults. */
export function rlOptions(given: RlInput): RlOptions {
  const preset = ppoPresets[given.env ?? 'CartPole-v1'];
  return rlSchema.parse({ steps: preset?.steps, ...given, ppo: { ...preset?.options, ...given.ppo } });
}

/** What a PPO learner yields after every update. */
export interface PpoStep {
  /** Environment steps so far. */
  step: number;
  ppo: PpoMetrics;
  /** Greedy episodes; at evaluations and at the end. */
  evaluation?: Evaluation;
  done: boolean;
}

type Tensors = ReturnType<ReturnType<typeof createPpo>['save']>['tensors'];
interface PpoLearnerState {
  step: number;
  ppo: PpoState;
  environment: VectorState;
}

export type PpoLearner = ReturnType<typeof createPpoLearner>;

/** PPO on the environment's own reward, one update at a time. Throws where settings are wrong, before anything is run. */
export function createPpoLearner(given: RlInput, parts: { makeEnvironment?: () => Environment } = {}) {
  const options = rlOptions(given);
  const { seed, steps } = options;
  const make = parts.makeEnvironment ?? (() => makeEnvironment(options.env));
  const environment = createVectorEnvironment(make, options.ppo.environments, seed);
  const agent = createPpo(environment, options.ppo, seed);
  const { episodes } = options;
  const evaluator = createEvaluator(make, agent.policy, agent.parameters, { episodes, seed, prepare: agent.prepare });
  const batch = options.ppo.environments * options.ppo.horizon;
  let step = 0;
  environment.reset();

  return {
    options,
    /** One rollout and one update. */
    async next(): Promise<PpoStep> {
      const rollout = agent.collect();
      const before = step;
      step += batch;
      const ppo = agent.update(rollout, step / steps);
      const done = step >= steps;
      const every = options.evaluations > 0 ? steps / options.evaluations : Number.POSITIVE_INFINITY;
      const evaluate = done || Math.floor(step / every) > Math.floor(before / every);
      return { step, ppo, evaluation: evaluate ? evaluator.run() : undefined, done };
    },
    evaluate: evaluator.run,
    save(): { state: PpoLearnerState; tensors: Tensors } {
      const { state, tensors } = agent.save();
      return { state: { step, ppo: state, environment: environment.save() }, tensors };
    },
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const state = checkpoint.state as PpoLearnerState;
      agent.restore(state.ppo, checkpoint.tensors as Tensors);
      environment.restore(state.environment);
      step = state.step;
    },
    release(): void {
      evaluator.release();
      agent.release();
    },
  };
}

/** PPO on the environment's own reward, one update a step, until the steps are done or `signal` aborts. */
export async function* ppo(
  given: RlInput,
  parts: { makeEnvironment?: () => Environment; signal?: AbortSignal } = {},
): AsyncGenerator<PpoStep, void, undefined> {
  const learner = createPpoLearner(given, parts);
  try {
    for (let done = false; !done && !parts.signal?.aborted; ) {
      const step = await learner.next();
      ({ done } = step);
      yield step;
    }
  } finally {
    learner.release();
  }
}

/** What a training of PPO comes to. */
export interface PpoResult {
  /** The run's folder. */
  run: string;
  /** Greedy episodes of the final policy. */
  return: { mean: number; std: number; episodes: number };
  steps: number;
  /** Wall time of the training, that of earlier processes of the run included. */
  seconds: number;
  /** Environment steps a second of collecting and learning, evaluations and checkpoints included. */
  stepsPerSecond: number;
}

export interface TrainParts<Step> {
  run: Run;
  /** Stops after the iteration under way, with a checkpoint. */
  signal?: AbortSignal;
  onStep?: (step: Step) => void;
  /** Wall time between checkpoints: 30 unless told, 0 for one every iteration. */
  checkpointSeconds?: number;
  /** Told what a person should know and need not act on, such as a damaged checkpoint that was passed over. */
  onWarning?: (text: string) => void;
}

/**
 * Trains in a run's folder: rows of metrics, checkpoints, the result. Goes on from the run's newest checkpoint where it has
 * one. Undefined where the signal stopped it: then a checkpoint was written.
 */
export async function trainPpo(learner: PpoLearner, parts: TrainParts<PpoStep>): Promise<PpoResult | undefined> {
  return driveRun(learner, {
    ...parts,
    record: ({ ppo, evaluation }) => ({ ...ppo, ...returnMetrics(evaluation) }),
    result: ({ step, evaluation }, seconds) => ({
      run: parts.run.folder,
      return: returnOf(evaluation!),
      steps: step,
      seconds,
      stepsPerSecond: step / seconds,
    }),
  });
}

export const returnOf = ({ mean, std, episodes }: Evaluation) => ({ mean, std, episodes });

/** An evaluation under the standard names of metrics. */
export const returnMetrics = (evaluation: Evaluation | undefined): Record<string, number> =>
  evaluation
    ? { 'return/mean': evaluation.mean, 'return/std': evaluation.std, 'episode/length': evaluation.length }
    : {};

/** What `driveRun` needs of a trainer. */
export interface Drivable<Step> {
  next(signal?: AbortSignal): Promise<Step>;
  evaluate(): Evaluation;
  save(): { state: unknown; tensors: Parameters<Run['saveCheckpoint']>[1]['tensors'] };
  restore(checkpoint: { state: unknown; tensors: unknown }): void;
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
  if (step === 0) run.log(0, returnMetrics(learner.evaluate()));

  for (;;) {
    await breathe(); // signals are heard between iterations
    if (signal?.aborted) {
      save();
      return undefined;
    }
    const from = step;
    let latest: Step;
    try {
      latest = await learner.next(signal);
    } catch (error) {
      throw stoppedBy(error, from, run.folder);
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

function stoppedBy(cause: unknown, step: number, folder: string): unknown {
  if (!(cause instanceof HeedError)) return cause;
  return new HeedError(`Training stopped in the batch after step ${step}: ${cause.message}`, {
    hint: `${cause.hint ? `${cause.hint}. ` : ''}The last good checkpoint is kept in "${folder}".`,
    cause,
  });
}
