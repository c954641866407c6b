/**
 * MountainCar-v0: drive an engine too weak for the hill up it by rocking back and forth.
 *
 * Moore 1990, with the equations and limits of Gymnasium 1.3.0. Reward −1 a step; ends at position 0.5.
 */

import { random } from '../../random.ts';
import { type StateEnvironment, withTimeLimit } from '../dynamics.ts';
import type { Box, Frame } from '../environment.ts';
import { circle, flag, ink, line, polygon } from '../picture/shapes.ts';

const minPosition = -1.2;
const maxPosition = 0.6;
const maxVelocity = 0.07;
const goal = 0.5;
const push = 0.001;
const gravity = 0.0025;

/** Observation [2] and `state` [2]: position, velocity. Actions: 0 push left, 1 none, 2 push right. */
export function mountainCar(): StateEnvironment {
  const id = 'MountainCar-v0';
  const state = new Float64Array(2);

  const environment = withTimeLimit({
    id,
    observationSpace: hillSpace(),
    actionSpace: { kind: 'discrete', n: 3 },
    maxEpisodeSteps: 200,
    rewardThreshold: -110,
    framesPerSecond: 30,
    start(seed) {
      state[0] = -0.6 + 0.2 * random(seed, id).uniform();
      state[1] = 0;
    },
    advance(action, outcome) {
      let velocity = state[1] + ((action[0] - 1) * push + Math.cos(3 * state[0]) * -gravity);
      velocity = Math.min(Math.max(velocity, -maxVelocity), maxVelocity);
      const position = Math.min(Math.max(state[0] + velocity, minPosition), maxPosition);
      if (position === minPosition && velocity < 0) velocity = 0;
      state[0] = position;
      state[1] = velocity;
      outcome.reward = -1;
      outcome.terminated = position >= goal && velocity >= 0;
    },
    observe(observation) {
      observation[0] = state[0];
      observation[1] = state[1];
    },
    frame: () => hillFrame(state[0], goal),
  });
  return { ...environment, state };
}

/** The observation of both mountain cars: position and velocity. */
export const hillSpace = (): Box => ({
  kind: 'box',
  low: Float32Array.of(minPosition, -maxVelocity),
  high: Float32Array.of(maxPosition, maxVelocity),
});

/** The hill with a car at `position` and a flag at `goal`, for both mountain cars. */
export function hillFrame(position: number, goal: number): Frame {
  const scale = 600 / (maxPosition - minPosition);
  const xAt = (p: number) => (p - minPosition) * scale;
  const yAt = (p: number) => 400 - (Math.sin(3 * p) * 0.45 + 0.55) * scale;
  const hill: number[] = [];
  for (let i = 0; i <= 40; i++) {
    const p = minPosition + ((maxPosition - minPosition) * i) / 40;
    hill.push(xAt(p), yAt(p));
  }
  const slope = Math.atan(Math.cos(3 * position) * 1.35);
  const [along, up] = [Math.cos(slope), Math.sin(slope)];
  // a point of the car `forward` along the slope and `above` it
  const place = (forward: number, above: number): [number, number] => [
    xAt(position) + forward * along - above * up,
    yAt(position) - forward * up - above * along,
  ];
  return {
    width: 600,
    height: 400,
    shapes: [
      line(ink.ground, 3, hill),
      ...flag(ink.goal, xAt(goal), yAt(goal), 50),
      polygon(ink.body, [...place(-20, 10), ...place(20, 10), ...place(20, 30), ...place(-20, 30)]),
      circle(ink.ground, ...place(-12, 8), 8),
      circle(ink.ground, ...place(12, 8), 8),
    ],
  };
}
