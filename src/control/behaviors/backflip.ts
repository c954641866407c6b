/**
 * Judge of Hopper-backflip: how far the torso turned backward, in radians. A turn counts a fifth as much while the leg
 * is on the ground. Turning forward counts against it, and in full when upside down, or rocking there would pay.
 * Falling backward looks like the first half of a flip, so a beginner can be praised for it.
 */
import { sumOver, turned } from './judge.ts';

const OFF_THE_GROUND = 0.02; // m

/** The judge of `Hopper-backflip`. */
export const backflip = sumOver(({ observation: from, next: to }) => {
  const back = -turned([from[1], from[2]], [to[1], to[2]]);
  const upsideDown = to[2] < 0;
  return to[12] > OFF_THE_GROUND || (upsideDown && back < 0) ? back : back / 5;
});
