/** Rewards and starts that several tasks share. */

import type { Random } from '../../random.ts';
import type { MujocoTask, World } from './task.ts';

/** Velocity along x over the step just made, m/s, of a world whose first coordinate is x. */
export const forwardVelocity = ({ qpos, before, dt }: World): number => (qpos[0] - before.qpos[0]) / dt;

/** The sum of the squared actions. */
export function effort({ ctrl }: World): number {
  let sum = 0;
  for (let i = 0; i < ctrl.length; i++) sum += ctrl[i] * ctrl[i];
  return sum;
}

/** Adds noise to every coordinate: uniform within ±scale, or normal with that deviation. */
export function addNoise(values: Float64Array, scale: number, { uniform, normal }: Random, kind: 'uniform' | 'normal') {
  for (let i = 0; i < values.length; i++) values[i] += scale * (kind === 'normal' ? normal() : 2 * uniform() - 1);
}

/** x, limited to ±limit. */
export const clamp = (x: number, limit: number): number => Math.min(Math.max(x, -limit), limit);

/** Writes qpos from its `skip`-th number on, then qvel within ±limit. */
export function observeState(
  { qpos, qvel }: World,
  observation: Float32Array | Float64Array,
  skip: number,
  limit = Infinity,
): void {
  let at = 0;
  for (let i = skip; i < qpos.length; i++) observation[at++] = qpos[i];
  for (let i = 0; i < qvel.length; i++) observation[at++] = clamp(qvel[i], limit);
}

/**
 * What Hopper and Walker2d share. They start within 0.005 of their pose. Every step upright earns 1 plus the speed,
 * minus 0.001 × squared torques. An episode ends with a fall. The observation has height, lean, angles and velocities
 * (within ±10).
 */
export const walking = (
  stands: (world: World) => boolean,
): Pick<MujocoTask, 'reset' | 'reward' | 'terminated' | 'observe'> => ({
  reset(world, random) {
    addNoise(world.qpos, 5e-3, random, 'uniform');
    addNoise(world.qvel, 5e-3, random, 'uniform');
  },
  reward: (world) => forwardVelocity(world) + (stands(world) ? 1 : 0) - 1e-3 * effort(world),
  terminated: (world) => !stands(world),
  observe: (world, observation) => observeState(world, observation, 1, 10),
});
