/**
 * HalfCheetah-one-leg: HalfCheetah's body without a task; no episode ends early. There is no reward: Christiano et al.
 * 2017 (§3.2) taught it to go forward on one leg by comparisons.
 *
 * The return is the meters that it went forward with only its back leg on the ground. It measures how well that was
 * learned.
 */

import { halfCheetah } from './half-cheetah.ts';
import { heightsOf } from './planar.ts';
import type { MujocoTask, World } from './task.ts';

const { model, frameSkip, camera, reset } = halfCheetah;
const START = 0.7; // height of the torso's middle at qpos 0, m
const RADIUS = 0.046;

/**
 * How far the torso with its head, the back leg below its thigh, and the front leg below its thigh are above the
 * ground, m.
 */
function clears({ qpos }: World): [torso: number, back: number, front: number] {
  const [, z, pitch, ...joints] = qpos;
  const height = START + z;
  const low = (...heights: number[]) => Math.min(...heights) - RADIUS;
  const torso = [-0.5, 0.5, 0.71].map((x, i) => heightsOf(height, [x], [i === 2 ? 0.2 : 0], [pitch])[0]);
  const [backHip, ...back] = heightsOf(
    height,
    [-0.5, 0.16, -0.28, 0.06],
    [0, -0.25, -0.14, -0.19],
    turns(pitch, joints, 0),
  );
  const [frontHip, ...front] = heightsOf(
    height,
    [0.5, -0.14, 0.13, 0.08],
    [0, -0.24, -0.18, -0.13],
    turns(pitch, joints, 3),
  );
  return [low(...torso, backHip, frontHip), low(...back), low(...front)];
}

const turns = (pitch: number, joints: readonly number[], from: number) => [pitch, ...joints.slice(from, from + 3)];

/**
 * Observation [21]: height, sine and cosine of the pitch, the six joints' angles, all nine velocities, and how far
 * torso, back leg and front leg are above the ground. Actions [6] as HalfCheetah's.
 */
export const halfCheetahOneLeg: MujocoTask = {
  id: 'HalfCheetah-one-leg',
  model,
  frameSkip,
  maxEpisodeSteps: 500,
  camera,
  observationSize: 21,
  reset,
  reward(world) {
    const [torso, , front] = clears(world);
    return Math.min(torso, front) > 0 && Math.cos(world.qpos[2]) > 0 ? world.qpos[0] - world.before.qpos[0] : 0;
  },
  observe(world, observation) {
    const { qpos, qvel } = world;
    observation[0] = qpos[1];
    observation[1] = Math.sin(qpos[2]);
    observation[2] = Math.cos(qpos[2]);
    for (let i = 3; i < 9; i++) observation[i] = qpos[i];
    for (let i = 0; i < 9; i++) observation[9 + i] = qvel[i];
    observation.set(clears(world), 18);
  },
};
