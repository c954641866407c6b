/** Collects rollouts: `horizon` steps in each environment. An episode may continue in the next rollout. */

import type { Episode, VectorEnvironment } from '../env/batch/vector.ts';
import type { Arena } from '../nn/parameters.ts';
import { breathe, turnIsDue } from '../node.ts';
import type { Random } from '../random.ts';
import { createForward } from './forward.ts';
import { normalizeRows, type RunningStatistics, updateStatistics } from './normalize.ts';
import { type ActingPolicy, LOG_DEVIATION, sampleActions, uniformActions } from './policy.ts';

/** The steps collected in one iteration. Arrays are [horizon, environments, ...], time outermost. */
export interface Rollout {
  /** [horizon, environments, o]: the observation each action was chosen from. */
  observations: Float32Array;
  /** [horizon, environments, a]; a discrete action is its number. */
  actions: Float32Array;
  /** [horizon, environments]: the environment's rewards; replace them to train on another reward. */
  rewards: Float32Array;
  /** [horizon, environments]: 1 where the step ended the task. */
  terminated: Uint8Array;
  /** [horizon, environments]: 1 where the step hit the time limit. */
  truncated: Uint8Array;
  /** [horizon, environments, o]: the observation each step led to, before any reset. */
  nextObservations: Float32Array;
  /** [horizon, environments]: log-probability of each action under the policy that acted. */
  logProbs: Float32Array;
  /** [horizon, environments]: the episode of each step. */
  episodes: Episode[];
  /** [horizon, environments]: the number of each step in its episode, from 0. */
  episodeSteps: Int32Array;
  /** [horizon, environments, size] each: what a recurrent policy remembered before and after each step; empty otherwise. */
  memory: { before: Float32Array; after: Float32Array };
}

/** Collects rollouts, each into the same memory as the last. */
interface Collector {
  /** Steps each environment `horizon` times. With `explore`, actions are uniform. */
  collect(explore?: 'uniform'): Promise<Rollout>;
  /** [horizon, environments, o]: the observations of the last rollout as the policy saw them. */
  readonly prepared: Float32Array;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** Draws actions for the environments' observations. */
export interface Actor {
  /** [count, o]: the observations to act on; written before each `act`. */
  observations: Float32Array;
  /** [count, size]: what a recurrent policy remembers; the next `act` goes on from it. */
  memory?: Float32Array;
  /** An episode begins in a row. */
  begin?(row: number): void;
  /** Draws actions [count, actionSize], and their log-probabilities [count] if the algorithm needs them. */
  act(random: Random, actions: Float32Array, logProbs: Float32Array): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** A policy as an actor in `count` environments. */
export function createActor(policy: ActingPolicy, parameters: Arena, count: number): Actor {
  const forward = createForward(policy, parameters, count);
  const { observations, memory, distribution, run, begin, [Symbol.dispose]: release } = forward;
  return {
    observations,
    memory,
    begin,
    act(random, actions, logProbs) {
      run();
      sampleActions(policy, distribution, parameters.values[LOG_DEVIATION]?.data, random, actions, logProbs);
    },
    [Symbol.dispose]: release,
  };
}

/**
 * With `statistics`, observations are added to them and normalized by them for the actor. Disposes of the actor at the
 * end.
 */
export function createCollector(
  environment: VectorEnvironment,
  actor: Actor,
  settings: { horizon: number; random: Random; statistics?: RunningStatistics },
): Collector {
  const { horizon, random, statistics } = settings;
  const { count, observationSize, observationSpace, actionSize } = environment;
  const batch = count * horizon;
  const { memory = new Float32Array(0) } = actor;
  const memorySize = memory.length / count;
  const rollout: Rollout = {
    observations: new Float32Array(batch * observationSize),
    actions: new Float32Array(batch * actionSize),
    rewards: new Float32Array(batch),
    terminated: new Uint8Array(batch),
    truncated: new Uint8Array(batch),
    nextObservations: new Float32Array(batch * observationSize),
    logProbs: new Float32Array(batch),
    episodes: new Array<Episode>(batch),
    episodeSteps: new Int32Array(batch),
    memory: { before: new Float32Array(batch * memorySize), after: new Float32Array(batch * memorySize) },
  };
  const prepared = statistics ? new Float32Array(batch * observationSize) : rollout.observations;
  const stepActions = new Float32Array(count * actionSize);
  const stepLogProbs = new Float32Array(count);

  async function collect(explore?: 'uniform'): Promise<Rollout> {
    const { observations, finalObservations, rewards, terminated, truncated } = environment;
    for (let t = 0; t < horizon; t++) {
      if (turnIsDue()) await breathe();
      const start = t * count;
      rollout.observations.set(observations, start * observationSize);
      if (statistics) {
        updateStatistics(statistics, observations, observationSpace.mask);
        normalizeRows(statistics, observations, actor.observations);
        prepared.set(actor.observations, start * observationSize);
      } else {
        actor.observations.set(observations);
      }
      for (let n = 0; n < count; n++) if (environment.episodes[n].length === 0) actor.begin?.(n);
      rollout.memory.before.set(memory, start * memorySize);
      if (explore) uniformActions(environment, random, observations, stepActions);
      else actor.act(random, stepActions, stepLogProbs);
      rollout.memory.after.set(memory, start * memorySize);
      for (let n = 0; n < count; n++) {
        rollout.episodes[start + n] = environment.episodes[n];
        rollout.episodeSteps[start + n] = environment.episodes[n].length;
      }
      environment.step(stepActions);
      rollout.actions.set(stepActions, start * actionSize);
      rollout.logProbs.set(stepLogProbs, start);
      rollout.rewards.set(rewards, start);
      rollout.terminated.set(terminated, start);
      rollout.truncated.set(truncated, start);
      rollout.nextObservations.set(observations, start * observationSize);
      for (let n = 0; n < count; n++) {
        if (!terminated[n] && !truncated[n]) continue;
        const final = finalObservations.subarray(n * observationSize, (n + 1) * observationSize);
        rollout.nextObservations.set(final, (start + n) * observationSize);
      }
    }
    return rollout;
  }

  return { collect, prepared, [Symbol.dispose]: actor[Symbol.dispose] };
}

/** Rollouts of uniform actions, each into the same memory as the last. */
export function createRandomPlay(
  environment: VectorEnvironment,
  settings: { horizon: number; random: Random },
): () => Promise<Rollout> {
  const nobody = { observations: new Float32Array(environment.observations.length), act() {}, [Symbol.dispose]() {} };
  const { collect } = createCollector(environment, nobody, settings);
  return () => collect('uniform');
}
