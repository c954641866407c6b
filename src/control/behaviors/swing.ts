/**
 * CartPole-swing: the further round the pole went clockwise, the better, at a pace that an eye can follow: what it
 * turns in a step beyond that counts against it. The way back counts against it too, so that to and fro is worth
 * nothing.
 */
import { sumOver, turned } from './judge.ts';

const PACE = 0.2; // radians a step: 10 a second

/** The judge of `CartPole-swing`. */
export const swing = sumOver(({ observation: from, next: to }) => {
  const turn = turned([from[2], from[3]], [to[2], to[3]]);
  return turn > PACE ? 2 * PACE - turn : turn;
});
