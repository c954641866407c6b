/** A learner from preferences: a loop that acts, and what it is taught by. */
import type { EnvironmentSource } from '../env/index.ts';
import type { Evaluation, Evaluator, PpoMetrics, SacMetrics } from '../rl/index.ts';
import { policiesOf, type RunPolicies } from '../rl/load-policy.ts';
import type { TrainParts } from '../run/index.ts';
import { rewardOf } from './load-reward.ts';
import type { LearnOptions } from './options.ts';
import type { Fit } from './reward/fit.ts';
import type { RewardSnapshot } from './reward-snapshot.ts';
import type { Segment } from './segments.ts';
import type { SegmentComparison } from './teaching/queries.ts';
import type { CheckpointTensors, TeachingState } from './teaching/state.ts';
import type { LearnParts, Teaching } from './teaching/teaching.ts';

/**
 * A step of learning: a rollout and its PPO update, or some hundred environment steps of PEBBLE, and the queries and the
 * fit that were due.
 */
export interface LearnStep {
  /** Environment steps so far. */
  step: number;
  /** Comparisons that the teacher made so far. */
  labels: number;
  /** PPO's update, where there was one. */
  ppo?: PpoMetrics;
  /** SAC's updates, where there were any. */
  sac?: SacMetrics;
  /** The fit of the reward ensemble, where there was one. */
  fit?: Fit;
  /** Queries that were answered in this step. */
  comparisons: readonly SegmentComparison[];
  /** Greedy episodes on the true reward; at evaluations and at the end. */
  evaluation?: Evaluation;
  /** Share of the teacher's decided choices that the ensemble predicted before learning of them, so far. */
  accuracy: number;
  /** Mean variance over members of the probability of the first, of what was asked last. */
  disagreement: number;
  /** Questions without an answer; only where the teacher answers later. */
  waiting?: number;
  /** Whether all steps are done. */
  done: boolean;
}

/** What a training drives: it acts, asks and learns, some steps at a time. */
export interface Learner {
  /** The run's options, defaults filled in. */
  readonly options: LearnOptions;
  /** What it acts in; not its to dispose of. */
  readonly environment: EnvironmentSource;
  /** Whether the teacher is a synthetic one, who goes by true returns or the judge; mistakes included. */
  readonly oracle: boolean;
  /** Some steps and what is learned from them, and whatever rounds of questions are due. */
  next(signal?: AbortSignal): Promise<LearnStep>;
  /** Greedy episodes on the true reward. */
  evaluate(): Evaluation;
  /** The policy of the moment, and the one that training began with. */
  policies(): Pick<RunPolicies, 'policy' | 'untrained'>;
  /** The learned reward of the moment. */
  reward(): RewardSnapshot;
  /** The true return of a segment, or what the judge says of it. */
  worth(segment: Segment): number;
  /** Predicted and true returns of segments drawn from recent experience: how well the one follows the other. */
  compareRewards(count?: number): { predicted: number[]; true: number[] };
  /** All it takes to go on. */
  save(): { state: TeachingState; tensors: Saved };
  /** Goes on from what was saved. */
  restore(checkpoint: { state: unknown; tensors: unknown }): void;
  [Symbol.dispose](): void;
}

type Saved = Parameters<TrainParts<never>['run']['saveCheckpoint']>[1]['tensors'];

/** What acts, as far as a learner saves it. */
interface Acting {
  save(): { state: unknown; tensors: Saved };
  restore(state: unknown, tensors: CheckpointTensors): void;
  [Symbol.dispose]?(): void;
}

/**
 * `acting`: what acts, by the names that checkpoints have for it, the policy's first. The learner releases all of it,
 * and the teaching.
 */
export function learnerOf(
  options: LearnOptions,
  { environment, teacher }: Pick<LearnParts, 'environment' | 'teacher'>,
  teaching: Teaching,
  { next, evaluator, acting }: Pick<Learner, 'next'> & { evaluator: Evaluator; acting: Record<string, Acting> },
): Learner {
  return {
    options,
    environment,
    oracle: teacher === undefined,
    next,
    evaluate: evaluator.run,
    policies() {
      const [name] = Object.keys(acting);
      return policiesOf(options, environment, acting[name].save());
    },
    reward: () => rewardOf(options, environment, teaching.ensemble.save()),
    worth: teaching.worth,
    compareRewards: teaching.compareRewards,
    save() {
      const saved = Object.entries(acting).map(([name, part]) => ({ name, ...part.save() }));
      const taught = teaching.save();
      return {
        state: { ...taught.state, ...Object.fromEntries(saved.map(({ name, state }) => [name, state])) },
        tensors: Object.assign({}, ...saved.map(({ tensors }) => tensors), taught.tensors),
      };
    },
    restore(checkpoint) {
      const state = { ...(checkpoint.state as TeachingState & Record<string, unknown>) };
      const tensors = checkpoint.tensors as CheckpointTensors;
      for (const [name, part] of Object.entries(acting)) {
        part.restore(state[name], tensors);
        delete state[name];
      }
      teaching.restore(state, tensors);
    },
    [Symbol.dispose]() {
      evaluator[Symbol.dispose]();
      for (const part of Object.values(acting)) part[Symbol.dispose]?.();
      teaching[Symbol.dispose]();
    },
  };
}
