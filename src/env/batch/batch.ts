/**
 * Several copies of an environment that are stepped together: here one after another, elsewhere in threads
 * (parallel.ts) or in another program (gymnasium/). A copy's episode depends only on its seed and its actions.
 */

import { HeedError } from '../../error.ts';
import { type Box, type Environment, type Space, sizeOf } from '../environment.ts';
import { ofCopy } from './fault.ts';

/** Copies of an environment that are stepped together. */
export interface EnvironmentBatch {
  /** The environment's name, such as CartPole-v1. */
  readonly id: string;
  /** Number of copies. */
  readonly count: number;
  /** Observations of each copy. */
  readonly observationSpace: Box;
  /** Actions of each copy. */
  readonly actionSpace: Space;
  /** Steps after which an episode is truncated. */
  readonly maxEpisodeSteps: number;
  /** [count, observationSize]: the current observations; for a copy whose episode has just begun, its first one. */
  readonly observations: Float32Array;
  /** [count, observationSize]: the observation the episode ended in; valid where this step terminated or truncated. */
  readonly finalObservations: Float32Array;
  /** [count] each, of the last step. */
  readonly rewards: Float64Array;
  /** 1 where the task ended. */
  readonly terminated: Uint8Array;
  /** 1 where the time limit cut the episode. */
  readonly truncated: Uint8Array;
  /** Starts an episode in every copy. seeds: [count]. */
  reset(seeds: ArrayLike<number>): void;
  /**
   * Acts in every copy. actions: [count, actionSize]. next: [count], the seed from which a copy restarts if this step
   * ends its episode. With −1 it stays ended: later steps skip it, with a reward of 0.
   */
  step(actions: Float32Array, next: ArrayLike<number>): void;
  /** Starts an episode in one copy and repeats recorded actions. actions: [steps, actionSize]. */
  replay(copy: number, seed: number, actions: Float32Array): void;
  /** Frees the memory of the copies. */
  [Symbol.dispose](): void;
}

/** The memory of a batch, which other threads can share. */
export type BatchArrays = Pick<
  EnvironmentBatch,
  'observations' | 'finalObservations' | 'rewards' | 'terminated' | 'truncated'
>;

/** New memory for the observations, rewards and ends of a batch. */
export function batchArrays(count: number, observationSize: number): BatchArrays {
  return {
    observations: new Float32Array(count * observationSize),
    finalObservations: new Float32Array(count * observationSize),
    rewards: new Float64Array(count),
    terminated: new Uint8Array(count),
    truncated: new Uint8Array(count),
  };
}

/** Copies that are stepped one after another. Results go into `arrays` if it is set. */
export function createBatch(make: () => Environment, count: number, arrays?: BatchArrays): EnvironmentBatch {
  checkCount(count);
  const environments = Array.from({ length: count }, make);
  const { id, observationSpace, actionSpace, maxEpisodeSteps } = environments[0];
  const size = sizeOf(observationSpace);
  const actionSize = sizeOf(actionSpace);
  const memory = arrays ?? batchArrays(count, size);
  const { observations, finalObservations, rewards, terminated, truncated } = memory;
  const views = environments.map((_, copy) => observations.subarray(copy * size, (copy + 1) * size));
  const action = new Float32Array(actionSize);

  const act = (copy: number, actions: Float32Array, at: number) => {
    for (let i = 0; i < actionSize; i++) action[i] = actions[at + i];
    try {
      return environments[copy].step(action, views[copy]);
    } catch (error) {
      throw ofCopy(error, copy);
    }
  };
  const begin = (copy: number, seed: number) => {
    try {
      environments[copy].reset(seed, views[copy]);
    } catch (error) {
      throw ofCopy(error, copy);
    }
  };
  const clear = (copy: number) => {
    rewards[copy] = 0;
    terminated[copy] = 0;
    truncated[copy] = 0;
  };
  // whether the last step ended it and it has not restarted
  const ended = new Uint8Array(count);

  return {
    id,
    count,
    observationSpace,
    actionSpace,
    maxEpisodeSteps,
    ...memory,
    reset(seeds) {
      for (let copy = 0; copy < count; copy++) {
        begin(copy, seeds[copy]);
        clear(copy);
        ended[copy] = 0;
      }
    },
    step(actions, next) {
      for (let copy = 0; copy < count; copy++) {
        if (ended[copy]) {
          rewards[copy] = 0;
          continue;
        }
        const outcome = act(copy, actions, copy * actionSize);
        rewards[copy] = outcome.reward;
        terminated[copy] = outcome.terminated ? 1 : 0;
        truncated[copy] = outcome.truncated ? 1 : 0;
        if (!outcome.terminated && !outcome.truncated) continue;
        finalObservations.set(views[copy], copy * size);
        if (next[copy] >= 0) begin(copy, next[copy]);
        else ended[copy] = 1;
      }
    },
    replay(copy, seed, actions) {
      begin(copy, seed);
      clear(copy);
      ended[copy] = 0;
      for (let at = 0; at < actions.length; at += actionSize) act(copy, actions, at);
    },
    [Symbol.dispose]() {
      for (const environment of environments) environment[Symbol.dispose]?.();
    },
  };
}

/** Checks a number of copies. @throws HeedError if it is not a whole number from 1. */
export function checkCount(count: number): void {
  if (Number.isInteger(count) && count >= 1) return;
  throw new HeedError(`expected a count of environments of 1 or more, got ${count}`, { hint: 'use 8, for example' });
}
