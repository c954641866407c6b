/**
 * Several copies of an environment stepped together, each started anew as soon as its episode ends. Every episode is
 * kept as its seed and its actions, which is all that a checkpoint or a clip needs.
 */

import { HeedError } from '../error.ts';
import { seedFor } from '../random.ts';
import { type Box, type Environment, type Frame, type Space, sizeOf } from './environment.ts';

/** One episode, as what it takes to live it again. Whoever keeps a reference to an ended one keeps it whole. */
export interface Episode {
  /** Which of the copies lived it. */
  env: number;
  /** Which of that copy's episodes it is, from 0. */
  index: number;
  seed: number;
  /** Steps so far. */
  length: number;
  /** [length, actionSize], with room for more after that. */
  actions: Float32Array;
}

/** The state of a vector environment as plain data. */
export interface VectorState {
  seed: number;
  /** Of each copy: the index of its episode under way (−1 before the first) and the actions so far, flat. */
  episodes: { index: number; actions: number[] }[];
}

export interface VectorEnvironment {
  readonly id: string;
  readonly count: number;
  readonly observationSpace: Box;
  readonly actionSpace: Space;
  readonly observationSize: number;
  readonly actionSize: number;
  readonly maxEpisodeSteps: number;
  /** [count, observationSize]: the present observations; of an episode's start where one has just ended. */
  readonly observations: Float32Array;
  /** [count, observationSize]: the observation the episode ended in; valid where this step terminated or truncated. */
  readonly finalObservations: Float32Array;
  /** [count] each, of the last step. */
  readonly rewards: Float32Array;
  readonly terminated: Uint8Array;
  readonly truncated: Uint8Array;
  /** [count]: the episode under way in each copy; replaced by a new object when it ends. */
  readonly episodes: Episode[];
  /** Starts the next episode in every copy. */
  reset(): void;
  /** Acts in every copy. actions: [count, actionSize]. */
  step(actions: Float32Array): void;
  save(): VectorState;
  /** Rebuilds a saved state by replaying its actions; `rewards`, `terminated` and `truncated` become 0. */
  restore(state: VectorState): void;
}

/** Episode `index` of copy `env` starts from seedFor(seed, 'episode', env, index). */
export function createVectorEnvironment(make: () => Environment, count: number, seed: number): VectorEnvironment {
  if (!Number.isInteger(count) || count < 1) {
    throw new HeedError(`expected a count of environments of 1 or more, got ${count}`, { hint: 'use for example 8' });
  }
  const environments = Array.from({ length: count }, make);
  const { id, observationSpace, actionSpace, maxEpisodeSteps } = environments[0];
  const observationSize = sizeOf(observationSpace);
  const actionSize = sizeOf(actionSpace);
  const observations = new Float32Array(count * observationSize);
  const finalObservations = new Float32Array(count * observationSize);
  const rewards = new Float32Array(count);
  const terminated = new Uint8Array(count);
  const truncated = new Uint8Array(count);
  const views = environments.map((_, i) => observations.subarray(i * observationSize, (i + 1) * observationSize));
  const action = new Float32Array(actionSize);
  const episodes: Episode[] = environments.map((_, env) => newEpisode(env, -1));
  let started = false;

  function newEpisode(env: number, index: number): Episode {
    const steps = Math.min(maxEpisodeSteps, 64);
    return {
      env,
      index,
      seed: seedFor(seed, 'episode', env, index),
      length: 0,
      actions: new Float32Array(steps * actionSize),
    };
  }

  const begin = (env: number, index: number) => {
    const episode = newEpisode(env, index);
    episodes[env] = episode;
    environments[env].reset(episode.seed, views[env]);
  };

  // acts in one copy with `action`, and keeps the action
  const act = (env: number) => {
    const outcome = environments[env].step(action, views[env]);
    const episode = episodes[env];
    const end = episode.length * actionSize;
    if (end === episode.actions.length) {
      const larger = new Float32Array(Math.min(end * 2, maxEpisodeSteps * actionSize));
      larger.set(episode.actions);
      episode.actions = larger;
    }
    for (let i = 0; i < actionSize; i++) episode.actions[end + i] = action[i];
    episode.length++;
    return outcome;
  };

  const clearOutcomes = () => {
    rewards.fill(0);
    terminated.fill(0);
    truncated.fill(0);
  };

  return {
    id,
    count,
    observationSpace,
    actionSpace,
    observationSize,
    actionSize,
    maxEpisodeSteps,
    observations,
    finalObservations,
    rewards,
    terminated,
    truncated,
    episodes,
    reset() {
      for (let env = 0; env < count; env++) begin(env, episodes[env].index + 1);
      clearOutcomes();
      started = true;
    },
    step(actions) {
      if (!started || actions.length !== count * actionSize) {
        throw new HeedError(
          started
            ? `${id}: expected ${count} × ${actionSize} numbers as actions, got ${actions.length}`
            : `${id}: expected reset() before the first step`,
          { hint: 'call reset() once, then step with a Float32Array of count × actionSize' },
        );
      }
      for (let env = 0; env < count; env++) {
        for (let i = 0; i < actionSize; i++) action[i] = actions[env * actionSize + i];
        const outcome = act(env);
        rewards[env] = outcome.reward;
        terminated[env] = outcome.terminated ? 1 : 0;
        truncated[env] = outcome.truncated ? 1 : 0;
        if (outcome.terminated || outcome.truncated) {
          finalObservations.set(views[env], env * observationSize);
          begin(env, episodes[env].index + 1);
        }
      }
    },
    save: () => ({
      seed,
      episodes: episodes.map(({ index, length, actions }) => ({
        index,
        actions: Array.from(actions.subarray(0, length * actionSize)),
      })),
    }),
    restore(state) {
      if (state.seed !== seed || state.episodes.length !== count) {
        throw new HeedError(
          `${id}: expected the state of ${count} environments from seed ${seed}, got ${state.episodes.length} from seed ${state.seed}`,
          { hint: 'resume with the count and the seed that the state was saved with' },
        );
      }
      started = false;
      for (const [env, { index, actions }] of state.episodes.entries()) {
        if (index < 0) {
          episodes[env] = newEpisode(env, index);
          continue;
        }
        begin(env, index);
        started = true;
        for (let at = 0; at < actions.length; at += actionSize) {
          for (let i = 0; i < actionSize; i++) action[i] = actions[at + i];
          act(env);
        }
      }
      clearOutcomes();
    },
  };
}

/**
 * The pictures of an episode's steps from … to − 1, each taken after its step, so that an ending is seen. Runs `env`
 * from the episode's start. HeedError when the episode has no such steps.
 */
export function replay(
  env: Environment,
  episode: Pick<Episode, 'seed' | 'length' | 'actions'>,
  from: number,
  to: number,
): Frame[] {
  if (!(from >= 0 && from <= to && to <= episode.length)) {
    throw new HeedError(`${env.id}: expected steps within 0 … ${episode.length}, got ${from} … ${to}`, {
      hint: 'ask for 0 ≤ from ≤ to ≤ episode.length',
    });
  }
  const size = sizeOf(env.actionSpace);
  const observation = new Float32Array(sizeOf(env.observationSpace));
  const frames: Frame[] = [];
  env.reset(episode.seed, observation);
  for (let t = 0; t < to; t++) {
    env.step(episode.actions.subarray(t * size, (t + 1) * size), observation);
    if (t >= from) frames.push(env.frame());
  }
  return frames;
}
