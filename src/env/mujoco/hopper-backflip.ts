/**
 * Hopper-backflip: Hopper's figure without a task, free to turn over; an episode ends only when its torso touches the ground.
 * There is no reward to learn from: Christiano et al. 2017 (§3.2) taught it to flip backward by comparisons, and so can anybody.
 *
 * The return counts backflips, and is for showing how well they were learnt: whole turns backward, landed or not, upside down
 * with nothing on the ground.
 */

import { hopperModel } from './hopper.ts';
import { addNoise, clip } from './motion.ts';
import { heightsOf } from './planar.ts';
import type { MujocoTask, World } from './task.ts';

const torso = 0.2; // m, from its middle to either end
const turn = 2 * Math.PI;

/** Height of the torso's lower end above the ground. */
const torsoClears = ({ qpos }: World): number => qpos[1] - torso * Math.abs(Math.cos(qpos[2])) - 0.05;

/** Height of the lowest point of knee, ankle, heel and toe above the ground. */
export function legClears({ qpos }: Pick<World, 'qpos'>): number {
  const [, height, lean, hip, knee, ankle] = qpos;
  const down = [lean, -hip, -knee];
  const [, knees, ankles] = heightsOf(height, [0, 0, 0], [-torso, -0.45, -0.5], down);
  const foot = lean - hip - knee - ankle;
  const [heel, toe] = [-0.13, 0.26].map((x) => ankles - x * Math.sin(foot));
  return Math.min(knees - 0.05, ankles - 0.04, heel - 0.06, toe - 0.06);
}

/** Of each world, how far back it had leant at its last flip, and whether it was upside down in the air since. */
const flips = new WeakMap<World, { from: number; flew: boolean }>();

/** Observation [13]: height, sine and cosine of the lean, the three joints' angles, all six velocities within ±20, and how far the leg is above the ground. Actions [3]: hip, knee, ankle. */
export const hopperBackflip: MujocoTask = {
  id: 'Hopper-backflip',
  model: hopperModel,
  frameSkip: 4,
  maxEpisodeSteps: 500,
  camera: { from: 'side', metres: 4, follow: 'torso', centre: [0, 1.1] },
  observationSize: 13,
  reset(world, random) {
    addNoise(world.qpos, 5e-3, random, 'uniform');
    addNoise(world.qvel, 5e-3, random, 'uniform');
    flips.set(world, { from: world.qpos[2], flew: false });
  },
  reward(world) {
    const flip = flips.get(world)!;
    const lean = world.qpos[2];
    flip.flew ||= Math.cos(lean - flip.from) < 0 && legClears(world) > 0;
    if (lean > flip.from - turn) return 0;
    const { flew } = flip;
    flip.from -= turn;
    flip.flew = false;
    return flew ? 1 : 0;
  },
  terminated: (world) => torsoClears(world) < 0.01,
  observe(world, observation) {
    const { qpos, qvel } = world;
    observation[0] = qpos[1];
    observation[1] = Math.sin(qpos[2]);
    observation[2] = Math.cos(qpos[2]);
    for (let i = 3; i < 6; i++) observation[i] = qpos[i];
    for (let i = 0; i < 6; i++) observation[6 + i] = clip(qvel[i], 20);
    observation[12] = legClears(world);
  },
};
