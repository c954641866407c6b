/**
 * Hopper-backflip: Hopper's body without a task, free to turn over. An episode ends when its torso is nearly on the
 * ground, since it hardly gets up from there. There is no reward: Christiano et al. 2017 (§3.2) taught it to flip
 * backward by comparisons.
 *
 * The return counts backflips and measures how well they were learned: full backward turns, landed or not, upside down
 * with nothing on the ground.
 */

import { hopper } from './hopper.ts';
import { addNoise, clamp } from './motion.ts';
import { heightsOf } from './planar.ts';
import type { MujocoTask, World } from './task.ts';

const torso = 0.2; // m, from its middle to either end
const LYING = 0.2; // m, of the torso above the ground
const turn = 2 * Math.PI;

/** How far the torso, and the leg from the knee down, are above the ground, m. */
function clears({ qpos }: Pick<World, 'qpos'>): [torso: number, leg: number] {
  const [, height, lean, hip, knee, ankle] = qpos;
  const [, knees, ankles] = heightsOf(height, [0, 0, 0], [-torso, -0.45, -0.5], [lean, -hip, -knee]);
  const pitch = lean - hip - knee - ankle;
  const [heel, toe] = [-0.13, 0.26].map((x) => ankles - x * Math.sin(pitch));
  const low = height - torso * Math.abs(Math.cos(lean)) - 0.05;
  return [low, Math.min(knees - 0.05, ankles - 0.04, heel - 0.06, toe - 0.06)];
}

/** By world: how far it leaned back at its last flip, and whether it has been upside down in the air since. */
const flips = new WeakMap<World, { from: number; flew: boolean }>();

/**
 * Observation [13]: height, sine and cosine of the lean, the three joints' angles, all six velocities within ±20, and
 * how far the leg is above the ground. Actions [3]: hip, knee, ankle.
 */
export const hopperBackflip: MujocoTask = {
  id: 'Hopper-backflip',
  model: hopper.model,
  frameSkip: 8, // 16 ms: a jump takes fewer decisions than with Hopper's 4, so exploration finds it sooner
  maxEpisodeSteps: 250,
  camera: { from: 'side', meters: 4, follow: 'torso', center: [0, 1.1] },
  observationSize: 13,
  // starts a little above the ground, bent and leaning at random, as after a landing
  reset(world, random) {
    const { qpos, qvel } = world;
    const { uniform } = random;
    qpos[1] += 0.2 * uniform();
    qpos[2] += 0.6 * uniform() - 0.3;
    for (let i = 3; i < 6; i++) qpos[i] -= 0.3 * uniform();
    addNoise(qvel, 0.5, random, 'uniform');
    flips.set(world, { from: qpos[2], flew: false });
  },
  reward(world) {
    const flip = flips.get(world)!;
    const lean = world.qpos[2];
    flip.flew ||= Math.cos(lean - flip.from) < 0 && Math.min(...clears(world)) > 0;
    if (lean > flip.from - turn) return 0;
    const { flew } = flip;
    flip.from -= turn;
    flip.flew = false;
    return flew ? 1 : 0;
  },
  terminated: (world) => clears(world)[0] < LYING,
  observe(world, observation) {
    const { qpos, qvel } = world;
    observation[0] = qpos[1];
    observation[1] = Math.sin(qpos[2]);
    observation[2] = Math.cos(qpos[2]);
    for (let i = 3; i < 6; i++) observation[i] = qpos[i];
    for (let i = 0; i < 6; i++) observation[6 + i] = clamp(qvel[i], 20);
    observation[12] = clears(world)[1];
  },
};
