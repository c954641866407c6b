/**
 * What all environments here share: the time limit, the check of actions, and the refusal to step before a reset or
 * after the end. A task supplies only its dynamics.
 */

import { HeedError } from '../error.ts';
import { type Environment, type Frame, type Space, type StepResult, sizeOf } from './environment.ts';

/** A task without a time limit. */
export interface Dynamics extends Omit<Environment, 'reset' | 'step'> {
  /** Draws the first state of an episode. */
  start(seed: number): void;
  /** Takes one step and sets `outcome.reward` and `outcome.terminated`. The action has been checked, not clipped. */
  advance(action: ArrayLike<number>, outcome: StepResult): void;
  /** Writes the current observation into `observation`. */
  observe(observation: Float32Array): void;
  /** The picture of the current state. */
  frame(): Frame;
  /** Frees memory outside of JavaScript, if it holds any. */
  [Symbol.dispose]?(): void;
}

/** An environment whose whole state is a few numbers, which can be read and, after a `reset`, set. */
export type StateEnvironment = Environment & { readonly state: Float64Array };

/**
 * Adds a time limit and checks to dynamics. `terminated` and `truncated` are never both set: an episode that ends in
 * its last allowed step was not cut.
 *
 * `reset` throws a HeedError if the observation has the wrong size; `step` if no episode is running or the action has
 * the wrong size, is not finite, or is not one of the discrete actions.
 */
export function withTimeLimit(dynamics: Dynamics): Environment {
  const { id, observationSpace, actionSpace, maxEpisodeSteps, rewardThreshold, framesPerSecond } = dynamics;
  const outcome: StepResult = { reward: 0, terminated: false, truncated: false };
  const observationSize = sizeOf(observationSpace);
  const actionSize = sizeOf(actionSpace);
  const actions = actionSpace.kind === 'discrete' ? actionSpace.n : 0;
  let steps = 0;
  let running = false;

  const isValid = (action: ArrayLike<number>): boolean => {
    if (action.length !== actionSize) return false;
    if (actions > 0) return action[0] >>> 0 === action[0] && action[0] < actions;
    for (let i = 0; i < actionSize; i++) if (!Number.isFinite(action[i])) return false;
    return true;
  };

  return {
    id,
    observationSpace,
    actionSpace,
    maxEpisodeSteps,
    rewardThreshold,
    framesPerSecond,
    reset(seed, observation) {
      if (observation.length !== observationSize) {
        throw new HeedError(
          `${id}: expected room for an observation of ${observationSize} numbers, got ${observation.length}`,
          { hint: 'make it with new Float32Array(sizeOf(environment.observationSpace))' },
        );
      }
      dynamics.start(seed);
      dynamics.observe(observation);
      outcome.reward = 0;
      outcome.terminated = false;
      outcome.truncated = false;
      steps = 0;
      running = true;
    },
    step(action, observation) {
      if (!running) {
        throw new HeedError(`${id}: expected a running episode, got a step before a reset or after the end`, {
          hint: 'call reset(seed, observation) to start the next episode',
        });
      }
      if (!isValid(action)) throw badAction(id, actionSpace, action);
      outcome.terminated = false;
      dynamics.advance(action, outcome);
      dynamics.observe(observation);
      steps++;
      outcome.truncated = steps >= maxEpisodeSteps && !outcome.terminated;
      running = !outcome.terminated && !outcome.truncated;
      return outcome;
    },
    frame: () => dynamics.frame(),
  };
}

function badAction(id: string, space: Space, action: ArrayLike<number>): HeedError {
  const expected =
    space.kind === 'discrete'
      ? `one whole number from 0 to ${space.n - 1}`
      : `${space.low.length} finite number${space.low.length === 1 ? '' : 's'}`;
  return new HeedError(`${id}: expected an action of ${expected}, got [${Array.from(action).join(', ')}]`, {
    hint: 'a policy that returns NaN has usually diverged: lower its learning rate, or look at its last observations',
  });
}
