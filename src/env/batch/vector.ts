/**
 * A batch of environments that runs forever: each copy restarts as soon as its episode ends, from the next seed. Every
 * episode is recorded as its seed and its actions, which is all that a checkpoint or a clip needs.
 */

import { HeedError } from '../../error.ts';
import { seedFor } from '../../random.ts';
import { type Environment, type Frame, sizeOf } from '../environment.ts';
import type { EnvironmentBatch } from './batch.ts';
import { placed } from './fault.ts';

/** An episode, as the data to replay it. A reference to an ended episode stays valid. */
export interface Episode {
  /** Index of the copy. */
  env: number;
  /** Index of the episode in that copy, from 0. */
  index: number;
  /** The seed that the episode starts from. */
  seed: number;
  /** Steps so far. */
  length: number;
  /** [length, actionSize], with spare room after that. */
  actions: Float32Array;
}

/** The state of a vector environment as plain data. */
export interface VectorState {
  /** The seed that all episodes' seeds follow from. */
  seed: number;
  /** Steps of all copies together. */
  steps: number;
  /** By copy: the index of its current episode (−1 before the first) and its actions so far, flat. */
  episodes: { index: number; actions: number[] }[];
}

/** Episodes that finished. */
export interface FinishedEpisodes {
  /** Episodes that the task ended. */
  ended: number;
  /** Episodes that the time limit cut. */
  cut: number;
  /** Steps of all of them together. */
  steps: number;
  /** The least and the greatest reward of a step, of unfinished episodes too. */
  rewards: [least: number, greatest: number];
}

const noneFinished = (): FinishedEpisodes => ({
  ended: 0,
  cut: 0,
  steps: 0,
  rewards: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
});

/** A batch whose copies restart by themselves, from seeds that follow from one seed. */
export interface VectorEnvironment extends Omit<EnvironmentBatch, 'reset' | 'step' | 'replay'> {
  /** Numbers in an observation. */
  readonly observationSize: number;
  /** Numbers in an action; 1 for a discrete one. */
  readonly actionSize: number;
  /** [count]: the current episode of each copy; replaced by a new object when it ends. */
  readonly episodes: Episode[];
  /** Starts the next episode in every copy. */
  reset(): void;
  /** Acts in every copy. actions: [count, actionSize]. */
  step(actions: Float32Array): void;
  /** The episodes that finished, and the rewards, since the last call. */
  takeFinished(): FinishedEpisodes;
  /** The state as plain data, for a checkpoint. */
  save(): VectorState;
  /** Rebuilds a saved state by replaying its actions; `rewards`, `terminated` and `truncated` become 0. */
  restore(state: VectorState): void;
}

/** Takes ownership of the batch. Episode `index` of copy `env` starts from seedFor(seed, 'episode', env, index). */
export function createVectorEnvironment(batch: EnvironmentBatch, seed: number): VectorEnvironment {
  const { id, count, observationSpace, actionSpace, maxEpisodeSteps } = batch;
  const { observations, finalObservations, rewards, terminated, truncated } = batch;
  const observationSize = sizeOf(observationSpace);
  const actionSize = sizeOf(actionSpace);
  const { episodes, next, begin, keep } = recordEpisodes(batch, seed);
  let started = false;
  /** Steps of all copies. */
  let taken = 0;
  let finished = noneFinished();

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
      batch.reset(episodes.map((episode) => episode.seed));
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
      try {
        batch.step(actions, next);
      } catch (error) {
        throw placed(error, ({ copy, episodeStep }) => ({
          step: taken + copy + 1,
          // the new episode follows the one that just ended
          episode: episodes[copy].index + (episodeStep === 0 ? 2 : 1),
          ...(count > 1 && { copy: copy + 1 }),
        }));
      }
      taken += count;
      for (let env = 0; env < count; env++) {
        keep(episodes[env], actions, env * actionSize);
        const [least, greatest] = finished.rewards;
        if (rewards[env] < least) finished.rewards[0] = rewards[env];
        if (rewards[env] > greatest) finished.rewards[1] = rewards[env];
        if (!terminated[env] && !truncated[env]) continue;
        if (terminated[env]) finished.ended++;
        else finished.cut++;
        finished.steps += episodes[env].length;
        begin(env, episodes[env].index + 1);
      }
    },
    takeFinished() {
      const since = finished;
      finished = noneFinished();
      return since;
    },
    save: () => ({
      seed,
      steps: taken,
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
      taken = state.steps;
      for (const [env, { index, actions }] of state.episodes.entries()) {
        begin(env, index);
        if (index < 0) continue;
        const lived = Float32Array.from(actions);
        batch.replay(env, episodes[env].seed, lived);
        for (let at = 0; at < lived.length; at += actionSize) keep(episodes[env], lived, at);
        started = true;
      }
    },
    [Symbol.dispose]: batch[Symbol.dispose],
  };
}

/** The current episode of each copy, and the seed of the one after it. */
function recordEpisodes({ count, actionSpace, maxEpisodeSteps }: EnvironmentBatch, seed: number) {
  const actionSize = sizeOf(actionSpace);
  const seedOf = (env: number, index: number) => seedFor(seed, 'episode', env, index);
  const episodes: Episode[] = [];
  const next = new Float64Array(count);

  /** Records that a copy is at the start of an episode. */
  const begin = (env: number, index: number) => {
    const steps = Math.min(maxEpisodeSteps, 64);
    const actions = new Float32Array(steps * actionSize);
    episodes[env] = { env, index, seed: seedOf(env, index), length: 0, actions };
    next[env] = seedOf(env, index + 1);
  };
  for (let env = 0; env < count; env++) begin(env, -1);

  /** Records the action at `at`. */
  const keep = (episode: Episode, actions: Float32Array, at: number) => {
    const end = episode.length * actionSize;
    if (end === episode.actions.length) {
      const larger = new Float32Array(Math.min(end * 2, maxEpisodeSteps * actionSize));
      larger.set(episode.actions);
      episode.actions = larger;
    }
    for (let i = 0; i < actionSize; i++) episode.actions[end + i] = actions[at + i];
    episode.length++;
  };
  return { episodes, next, begin, keep };
}

/**
 * Pictures of the steps from … to − 1 of an episode, each taken after its step, so that the end is visible. Replays the
 * episode in `env` from its start. `seen` is called before each of these steps with what the agent sees then, and whether
 * the episode is over already. @throws HeedError if the episode has no such steps.
 */
export function replay(
  env: Environment,
  episode: Pick<Episode, 'seed' | 'length' | 'actions'>,
  from: number,
  to: number,
  seen?: (step: number, observation: Float32Array, over: boolean) => void,
): Frame[] {
  if (!(from >= 0 && from <= to && to <= episode.length)) {
    throw new HeedError(`${env.id}: expected steps within 0 … ${episode.length}, got ${from} … ${to}`, {
      hint: 'choose 0 ≤ from ≤ to ≤ episode.length',
    });
  }
  const size = sizeOf(env.actionSpace);
  const observation = new Float32Array(sizeOf(env.observationSpace));
  const frames: Frame[] = [];
  env.reset(episode.seed, observation);
  let over = false;
  for (let t = 0; t < to; t++) {
    if (t >= from || over) seen?.(t, observation, over);
    const { terminated, truncated } = env.step(episode.actions.subarray(t * size, (t + 1) * size), observation);
    over = terminated || truncated;
    if (t >= from) frames.push(env.frame());
  }
  return frames;
}
