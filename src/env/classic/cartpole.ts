/**
 * CartPole-v1: keep a pole upright on a cart by pushing left or right.
 *
 * Barto, Sutton & Anderson 1983, with Florian's (2007) corrected equations without friction, Euler steps of 0.02 s and
 * the limits of Gymnasium 1.3.0. Reward 1 a step; ends when the cart leaves ±2.4 m or the pole ±12°.
 */

import { random } from '../../random.ts';
import { type StateEnvironment, withTimeLimit } from '../dynamics.ts';
import type { Frame } from '../environment.ts';
import { bar, circle, ink, line, rectangle } from '../picture/shapes.ts';

const gravity = 9.8;
const poleMass = 0.1;
const totalMass = 1 + poleMass;
const halfLength = 0.5;
const poleMoment = poleMass * halfLength;
const push = 10;
const dt = 0.02;
/** How far the cart may leave the middle of its track, in meters. */
export const maxPosition = 2.4;
const maxAngle = (12 * 2 * Math.PI) / 360;

/**
 * Observation [4] and `state` [4]: cart position m, velocity m/s, pole angle rad, angular velocity rad/s. Actions: 0
 * left, 1 right.
 */
export function cartPole(): StateEnvironment {
  const id = 'CartPole-v1';
  const state = new Float64Array(4);
  const high = Float32Array.of(2 * maxPosition, Infinity, 2 * maxAngle, Infinity);

  const environment = withTimeLimit({
    id,
    observationSpace: { kind: 'box', low: high.map((x) => -x), high },
    actionSpace: { kind: 'discrete', n: 2 },
    maxEpisodeSteps: 500,
    rewardThreshold: 475,
    framesPerSecond: 50,
    start(seed) {
      const { uniform } = random(seed, id);
      for (let i = 0; i < 4; i++) state[i] = -0.05 + 0.1 * uniform();
    },
    advance(action, outcome) {
      moveCart(state, action[0]);
      outcome.reward = 1;
      outcome.terminated = Math.abs(state[0]) > maxPosition || Math.abs(state[2]) > maxAngle;
    },
    observe(observation) {
      observation[0] = state[0];
      observation[1] = state[1];
      observation[2] = state[2];
      observation[3] = state[3];
    },
    frame: () => drawCart(state),
  });
  return { ...environment, state };
}

/** Moves `state` [4] one step on, with a push to the left, 0, or right, 1. */
export function moveCart(state: Float64Array, action: number): void {
  const [position, velocity, angle, angularVelocity] = state;
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const force = action === 1 ? push : -push;
  const thrust = (force + poleMoment * angularVelocity * angularVelocity * sin) / totalMass;
  const angularAcceleration =
    (gravity * sin - cos * thrust) / (halfLength * (4 / 3 - (poleMass * cos * cos) / totalMass));
  const acceleration = thrust - (poleMoment * angularAcceleration * cos) / totalMass;
  state[0] = position + dt * velocity;
  state[1] = velocity + dt * acceleration;
  state[2] = angle + dt * angularVelocity;
  state[3] = angularVelocity + dt * angularAcceleration;
}

/** `ground`: how far below the picture's top it rolls. */
export function drawCart(state: Float64Array, ground = 300): Frame {
  const scale = 600 / (2 * maxPosition);
  const x = 300 + state[0] * scale;
  return {
    width: 600,
    height: 400,
    shapes: [
      line(ink.ground, 2, [0, ground, 600, ground]),
      rectangle(ink.body, x - 25, ground - 20, 50, 30),
      bar(ink.part, x, ground - 12, state[2], 2 * halfLength * scale, 10),
      circle(ink.joint, x, ground - 12, 5),
    ],
  };
}
