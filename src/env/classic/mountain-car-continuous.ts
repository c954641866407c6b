/**
 * MountainCarContinuous-v0: the mountain car with a throttle, rewarded for reaching the flag and charged for fuel.
 *
 * The equations and limits of Gymnasium 1.3.0, which keeps the state in float32. Reward −0.1 action², with the action
 * before it is clipped, and +100 at position 0.45, where the episode ends.
 */

import { random } from '../../random.ts';
import { type StateEnvironment, withTimeLimit } from '../dynamics.ts';
import { hillFrame, hillSpace } from './mountain-car.ts';

const goal = 0.45;
const power = 0.0015;

/** Observation [2] and `state` [2]: position, velocity. Action [1]: throttle, clipped to ±1. */
export function mountainCarContinuous(): StateEnvironment {
  const id = 'MountainCarContinuous-v0';
  const state = new Float64Array(2);
  const observationSpace = hillSpace();
  const [minPosition, minVelocity] = observationSpace.low;
  const [maxPosition, maxVelocity] = observationSpace.high;

  const environment = withTimeLimit({
    id,
    observationSpace,
    actionSpace: { kind: 'box', low: Float32Array.of(-1), high: Float32Array.of(1) },
    maxEpisodeSteps: 999,
    rewardThreshold: 90,
    framesPerSecond: 30,
    start(seed) {
      state[0] = -0.6 + 0.2 * random(seed, id).uniform();
      state[1] = 0;
    },
    advance(action, outcome) {
      const force = Math.min(Math.max(action[0], -1), 1);
      let velocity = Math.fround(state[1] + (force * power - 0.0025 * Math.cos(3 * state[0])));
      velocity = Math.min(Math.max(velocity, minVelocity), maxVelocity);
      const position = Math.min(Math.max(Math.fround(state[0] + velocity), minPosition), maxPosition);
      if (position === minPosition && velocity < 0) velocity = 0;
      state[0] = position;
      state[1] = velocity;
      outcome.terminated = position >= goal && velocity >= 0;
      outcome.reward = (outcome.terminated ? 100 : 0) - 0.1 * action[0] * action[0];
    },
    observe(observation) {
      observation[0] = state[0];
      observation[1] = state[1];
    },
    frame: () => hillFrame(state[0], goal),
  });
  return { ...environment, state };
}
