/**
 * PPO on the environment's own reward: a learner, and its training in a run's folder.
 *
 * Run it: heed rl --env CartPole-v1
 */
import { z } from 'zod';
import { createVectorEnvironment, type EnvironmentSource, type VectorState, withEnvironment } from '../env/index.ts';
import { driveRun, stepsOf, type TrainParts } from '../run/index.ts';
import { createEvaluator, type Evaluation } from './evaluate.ts';
import { createPpo, type PpoMetrics, type PpoState } from './ppo.ts';
import { ppoSchema } from './ppo-options.ts';
import { ppoPresets } from './presets.ts';
import { worldShape } from './world-options.ts';

export const rlSchema = z.object({
  ...worldShape,
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
export function createPpoLearner(given: RlInput, { environment: source }: { environment: EnvironmentSource }) {
  const options = rlOptions(given);
  const { seed, steps } = options;
  const environment = createVectorEnvironment(source.batch(options.ppo.environments), seed);
  const agent = createPpo(environment, options.ppo, seed);
  const { policy, parameters, prepare } = agent;
  const evaluator = createEvaluator(source.batch(options.episodes), policy, parameters, { seed, prepare });
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
      environment.release();
    },
  };
}

/**
 * PPO on the environment's own reward, one update a step, until the steps are done or `signal` aborts. Acts in `environment`
 * where it is given, and not in the one that the settings name.
 */
export async function* ppo(
  given: RlInput,
  { environment, signal }: { environment?: EnvironmentSource; signal?: AbortSignal } = {},
): AsyncGenerator<PpoStep, void, undefined> {
  const create = (source: EnvironmentSource) => createPpoLearner(given, { environment: source });
  yield* stepsOf(environment ? create(environment) : await withEnvironment(rlOptions(given), create), signal);
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

/**
 * Trains in a run's folder: rows of metrics, checkpoints, the result. Goes on from the run's newest checkpoint where it has
 * one. Undefined where the signal stopped it: then a checkpoint was written.
 */
export async function trainPpo(learner: PpoLearner, parts: TrainParts<PpoStep>): Promise<PpoResult | undefined> {
  return driveRun(learner, {
    ...parts,
    before: () => returnMetrics(learner.evaluate()),
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
