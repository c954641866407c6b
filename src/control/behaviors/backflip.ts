/**
 * Hopper-backflip: how far the torso turned backward, in radians, a fifth as much worth where the leg is on the ground;
 * forward counts against it, and upside down in full, or rocking there would pay. Falling backward is the first half of
 * a flip to whoever looks, and what a beginner can be praised for.
 */
import { sumOver, turned } from './judge.ts';

const OFF_THE_GROUND = 0.02; // m

/** The judge of `Hopper-backflip`. */
export const backflip = sumOver(({ observation: from, next: to }) => {
  const back = -turned([from[1], from[2]], [to[1], to[2]]);
  const upsideDown = to[2] < 0;
  return to[12] > OFF_THE_GROUND || (upsideDown && back < 0) ? back : back / 5;
});
