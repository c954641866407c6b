/**
 * Judge of CartPole-swing: how far the pole turned clockwise. Turning faster in a step than an eye can follow counts
 * against it, and so does turning back: swinging to and fro earns nothing.
 */
import { sumOver, turned } from './judge.ts';

const PACE = 0.2; // radians a step: 10 a second

/** The judge of `CartPole-swing`. */
export const swing = sumOver(({ observation: from, next: to }) => {
  const turn = turned([from[2], from[3]], [to[2], to[3]]);
  return turn > PACE ? 2 * PACE - turn : turn;
});
