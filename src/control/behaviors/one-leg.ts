/**
 * Judge of HalfCheetah-one-leg: meters traveled forward with the torso and the front leg off the ground and the right
 * side up. Steps on both legs count against it.
 */
import { sumOver } from './judge.ts';

const OFF_THE_GROUND = 0.02; // m
const STEP = 0.05; // s
const ON_BOTH = -0.05; // m
const FAST = 3; // m/s: going faster than this earns nothing more

/** The judge of `HalfCheetah-one-leg`. */
export const oneLeg = sumOver(({ next }) => {
  const [cosine, speed, torso, front] = [next[2], next[9], next[18], next[20]];
  return Math.min(torso, front) > OFF_THE_GROUND && cosine > 0 ? Math.min(speed, FAST) * STEP : ON_BOTH;
});
