/**
 * Action masks: which of the discrete actions are allowed in a state. The mask of a state is the end of its observation,
 * so it goes wherever the observation goes: into rollouts, checkpoints, clips and exported policies.
 */

import { HeedError } from '../error.ts';
import type { Random } from '../random.ts';
import type { Box, Environment, Space } from './environment.ts';

/** A box with a mask of `actions` numbers at its end. */
export function withMask({ low, high, ...rest }: Box, actions: number): Box {
  const both = (bounds: Float32Array, bound: number) =>
    Float32Array.from({ length: bounds.length + actions }, (_, i) => bounds[i] ?? bound);
  return { ...rest, low: both(low, 0), high: both(high, 1), mask: actions };
}

/** Numbers of an observation without its mask. */
export const seenSize = ({ low, mask = 0 }: Box): number => low.length - mask;

/** Whether an observation allows an action; observations without a mask allow all. */
export const isAllowed = ({ low, mask = 0 }: Box, observation: ArrayLike<number>, action: number): boolean =>
  mask === 0 || observation[low.length - mask + action] === 1;

/** One of the actions that an observation allows, or any where it has no mask. */
export function someAllowed(space: Box, observation: ArrayLike<number>, n: number, random: Random): number {
  if (!space.mask) return random.integer(n);
  const allowed: number[] = [];
  for (let action = 0; action < n; action++) if (isAllowed(space, observation, action)) allowed.push(action);
  return allowed[random.integer(allowed.length)];
}

/** The same environment; if it has a mask, at the end of its observations. */
export function maskedEnvironment(environment: Environment): Environment {
  if (!environment.mask) return environment;
  const { actionSpace, observationSpace: seen, mask: _, ...rest } = environment;
  const n = choicesOf(actionSpace);
  const observationSpace = withMask(seen, n);
  const size = seen.low.length;
  const write = (observation: Float32Array, over: boolean) =>
    writeMask(environment.mask!(), n, over, observation, size);
  return {
    ...rest,
    actionSpace,
    observationSpace,
    reset(seed, observation) {
      environment.reset(seed, observation.subarray(0, size));
      write(observation, false);
    },
    step(action, observation) {
      const outcome = environment.step(action, observation.subarray(0, size));
      write(observation, outcome.terminated || outcome.truncated);
      return outcome;
    },
    frame: () => environment.frame(),
    [Symbol.dispose]: () => environment[Symbol.dispose]?.(),
  };
}

function choicesOf(space: Space): number {
  if (space.kind === 'discrete') return space.n;
  throw new HeedError('mask() allows some of the discrete actions, and these actions are numbers', {
    hint: 'leave out mask(), and write what is allowed into low and high of the actionSpace',
  });
}

/** Writes a mask from `at` on. Where the episode is over, nothing need be allowed. */
function writeMask(
  mask: ArrayLike<number | boolean>,
  n: number,
  over: boolean,
  observation: Float32Array,
  at: number,
): void {
  if (mask?.length !== n) {
    const got = mask?.length === undefined ? String(mask) : `${mask.length}`;
    throw new HeedError(`mask() returned ${got}, expected ${n} values, one for each action`, {
      hint: 'return an array with true for each action that is allowed',
    });
  }
  let allowed = 0;
  for (let action = 0; action < n; action++) {
    const value = Number(mask[action]);
    if (value !== 0 && value !== 1) {
      throw new HeedError(`mask() returned ${mask[action]} for action ${action}, expected true or false`, {
        hint: 'return an array with true for each action that is allowed',
      });
    }
    observation[at + action] = value;
    allowed += value;
  }
  if (allowed > 0) return;
  if (over) observation.fill(1, at);
  else {
    throw new HeedError(`mask() allows none of its ${n} actions`, {
      hint: 'end the episode (terminated: true) where nothing can be done, or allow an action that does nothing',
    });
  }
}
