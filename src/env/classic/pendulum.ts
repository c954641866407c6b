/**
 * Pendulum-v1: swing a pendulum up and hold it there with a torque too weak to lift it at once.
 *
 * The equations and limits of Gymnasium 1.3.0: a uniform rod of 1 m and 1 kg under 10 m/s², semi-implicit Euler steps
 * of 0.05 s. Reward −(angle² + 0.1 velocity² + 0.001 torque²), the angle in [−π, π) from upright. Never terminates.
 */

import { random } from '../../random.ts';
import { type StateEnvironment, withTimeLimit } from '../dynamics.ts';
import { bar, circle, ink } from '../picture/shapes.ts';

const gravity = 10;
const dt = 0.05;
const maxVelocity = 8;
const maxTorque = 2;

/**
 * Observation [3]: cos and sin of the angle from upright, angular velocity rad/s. `state` [2]: angle rad (not wrapped),
 * angular velocity. Action [1]: torque N m, clipped to ±2.
 */
export function pendulum(): StateEnvironment {
  const id = 'Pendulum-v1';
  const state = new Float64Array(2);
  const high = Float32Array.of(1, 1, maxVelocity);

  const environment = withTimeLimit({
    id,
    observationSpace: { kind: 'box', low: high.map((x) => -x), high },
    actionSpace: { kind: 'box', low: Float32Array.of(-maxTorque), high: Float32Array.of(maxTorque) },
    maxEpisodeSteps: 200,
    framesPerSecond: 30,
    start(seed) {
      const { uniform } = random(seed, id);
      state[0] = -Math.PI + 2 * Math.PI * uniform();
      state[1] = -1 + 2 * uniform();
    },
    advance(action, outcome) {
      // the torque is float32, like a policy's output; everything else is float64
      const torque = Math.min(Math.max(Math.fround(action[0]), -maxTorque), maxTorque);
      const turns = (state[0] + Math.PI) / (2 * Math.PI);
      const angle = (turns - Math.floor(turns)) * 2 * Math.PI - Math.PI;
      outcome.reward = -(angle * angle + 0.1 * state[1] * state[1] + 0.001 * torque * torque);
      const velocity = state[1] + (1.5 * gravity * Math.sin(state[0]) + Math.fround(3 * torque)) * dt;
      state[1] = Math.min(Math.max(velocity, -maxVelocity), maxVelocity);
      state[0] += state[1] * dt;
    },
    observe(observation) {
      observation[0] = Math.cos(state[0]);
      observation[1] = Math.sin(state[0]);
      observation[2] = state[1];
    },
    frame() {
      return {
        width: 500,
        height: 500,
        // a positive angle leans left, as in Gymnasium's picture
        shapes: [bar(ink.part, 250, 250, -state[0], 180, 36), circle(ink.ground, 250, 250, 10)],
      };
    },
  });
  return { ...environment, state };
}
