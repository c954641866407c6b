/**
 * Acrobot-v1: swing the tip of two hanging links above a line by a torque on the joint between them.
 *
 * Sutton 1996; the equations of motion of Sutton & Barto's book, one Runge–Kutta step of order 4 every 0.2 s, and the
 * limits of Gymnasium 1.3.0. Reward −1 a step, 0 for the last; ends when the tip is one link above the fixed end.
 */

import { random } from '../../random.ts';
import { type StateEnvironment, withTimeLimit } from '../dynamics.ts';
import { bar, circle, ink, line } from '../picture/shapes.ts';

const dt = 0.2;
const gravity = 9.8;
const maxVelocity1 = 4 * Math.PI;
const maxVelocity2 = 9 * Math.PI;
// both links: length 1 m, mass 1 kg, center of mass at 0.5 m, moment of inertia 1 kg m²
const center = 0.5;

/**
 * Observation [6]: cos and sin of the first link's angle (0 hangs down), cos and sin of the second's relative to the
 * first, both angular velocities rad/s. `state` [4]: the two angles rad and angular velocities. Actions: torque −1, 0,
 * 1 N m.
 */
export function acrobot(): StateEnvironment {
  const id = 'Acrobot-v1';
  const state = new Float64Array(4);
  // rates of change at the four points of a Runge–Kutta step
  const k1 = new Float64Array(4);
  const k2 = new Float64Array(4);
  const k3 = new Float64Array(4);
  const k4 = new Float64Array(4);
  const high = Float32Array.of(1, 1, 1, 1, maxVelocity1, maxVelocity2);

  // the rates at `state` moved by `step` seconds along the rates `along`
  const rates = (out: Float64Array, along: Float64Array, step: number, torque: number) => {
    const angle1 = state[0] + step * along[0];
    const angle2 = state[1] + step * along[1];
    const velocity1 = state[2] + step * along[2];
    const velocity2 = state[3] + step * along[3];
    const cos2 = Math.cos(angle2);
    const sin2 = Math.sin(angle2);
    const d1 = center ** 2 + (1 + center ** 2 + 2 * center * cos2) + 2;
    const d2 = center ** 2 + center * cos2 + 1;
    const phi2 = center * gravity * Math.cos(angle1 + angle2 - Math.PI / 2);
    const phi1 =
      -center * velocity2 ** 2 * sin2 -
      2 * center * velocity2 * velocity1 * sin2 +
      (center + 1) * gravity * Math.cos(angle1 - Math.PI / 2) +
      phi2;
    const acceleration2 =
      (torque + (d2 / d1) * phi1 - center * velocity1 ** 2 * sin2 - phi2) / (center ** 2 + 1 - d2 ** 2 / d1);
    out[0] = velocity1;
    out[1] = velocity2;
    out[2] = -(d2 * acceleration2 + phi1) / d1;
    out[3] = acceleration2;
  };

  const environment = withTimeLimit({
    id,
    observationSpace: { kind: 'box', low: high.map((x) => -x), high },
    actionSpace: { kind: 'discrete', n: 3 },
    maxEpisodeSteps: 500,
    rewardThreshold: -100,
    framesPerSecond: 15,
    start(seed) {
      const { uniform } = random(seed, id);
      for (let i = 0; i < 4; i++) state[i] = Math.fround(-0.1 + 0.2 * uniform());
    },
    advance(action, outcome) {
      const torque = action[0] - 1;
      rates(k1, k1, 0, torque);
      rates(k2, k1, dt / 2, torque);
      rates(k3, k2, dt / 2, torque);
      rates(k4, k3, dt, torque);
      for (let i = 0; i < 4; i++) state[i] += (dt / 6) * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
      state[0] = wrap(state[0]);
      state[1] = wrap(state[1]);
      state[2] = Math.min(Math.max(state[2], -maxVelocity1), maxVelocity1);
      state[3] = Math.min(Math.max(state[3], -maxVelocity2), maxVelocity2);
      outcome.terminated = -Math.cos(state[0]) - Math.cos(state[1] + state[0]) > 1;
      outcome.reward = outcome.terminated ? 0 : -1;
    },
    observe(observation) {
      observation[0] = Math.cos(state[0]);
      observation[1] = Math.sin(state[0]);
      observation[2] = Math.cos(state[1]);
      observation[3] = Math.sin(state[1]);
      observation[4] = state[2];
      observation[5] = state[3];
    },
    frame() {
      const scale = 500 / 4.4;
      const angle1 = Math.PI - state[0];
      const angle2 = Math.PI - state[0] - state[1];
      const elbowX = 250 + Math.sin(angle1) * scale;
      const elbowY = 250 - Math.cos(angle1) * scale;
      return {
        width: 500,
        height: 500,
        shapes: [
          line(ink.goal, 2, [0, 250 - scale, 500, 250 - scale]),
          bar(ink.body, 250, 250, angle1, scale, 18),
          bar(ink.part, elbowX, elbowY, angle2, scale, 18),
          circle(ink.joint, 250, 250, 9),
          circle(ink.joint, elbowX, elbowY, 9),
        ],
      };
    },
  });
  return { ...environment, state };
}

/** The same angle in [−π, π]. */
function wrap(angle: number): number {
  let x = angle;
  while (x > Math.PI) x -= 2 * Math.PI;
  while (x < -Math.PI) x += 2 * Math.PI;
  return x;
}
