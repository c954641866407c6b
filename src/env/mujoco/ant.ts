/**
 * Ant-v5: a four-legged figure that walks in three dimensions (Schulman et al. 2016; Gymnasium v5's model, reward and
 * limits). Reward: 1 for every healthy step, plus its speed along x, less 0.5 × squared torques and 0.0005 × squared
 * contact forces; ends when its middle is below 0.2 m or above 1 m.
 */

import { addNoise, clamp, effort } from './motion.ts';
import type { MujocoTask, World } from './task.ts';

/**
 * A leg towards x and y, each −1 or 1. Its ankle bends by 30 … 70 degrees about an axis across the leg, the sign of
 * which is its own.
 */
const leg = (n: number, x: number, y: number, ankle: string, range: string, rgba: string) => `
      <body name="leg_${n}">
        <geom fromto="0 0 0 ${0.2 * x} ${0.2 * y} 0" rgba="${rgba}"/>
        <body name="aux_${n}" pos="${0.2 * x} ${0.2 * y} 0">
          <joint name="hip_${n}" axis="0 0 1" range="-30 30"/>
          <geom fromto="0 0 0 ${0.2 * x} ${0.2 * y} 0" rgba="${rgba}"/>
          <body pos="${0.2 * x} ${0.2 * y} 0">
            <joint name="ankle_${n}" axis="${ankle}" range="${range}"/>
            <geom fromto="0 0 0 ${0.4 * x} ${0.4 * y} 0" rgba="${rgba}"/>
          </body>
        </body>
      </body>`;

const model = `
<mujoco>
  <size memory="1M"/>
  <option timestep="0.01" integrator="RK4"/>
  <default>
    <joint armature="1" damping="1"/>
    <geom type="capsule" size="0.08" conaffinity="0" density="5" friction="1 0.5 0.5" margin="0.01"/>
    <motor ctrlrange="-1 1" gear="150"/>
  </default>
  <worldbody>
    <geom type="plane" size="40 40 40" conaffinity="1"/>
    <body name="torso" pos="0 0 0.75">
      <joint type="free" armature="0" damping="0" margin="0.01"/>
      <geom type="sphere" size="0.25" rgba="0.24 0.35 0.6 1"/>${[
        leg(1, 1, 1, '-1 1 0', '30 70', '0.79 0.51 0.17 1'),
        leg(2, -1, 1, '1 1 0', '-70 -30', '0.48 0.53 0.71 1'),
        leg(3, -1, -1, '-1 1 0', '-70 -30', '0.48 0.53 0.71 1'),
        leg(4, 1, -1, '1 1 0', '30 70', '0.79 0.51 0.17 1'),
      ].join('')}
    </body>
  </worldbody>
  <actuator>${[4, 1, 2, 3].map((n) => `<motor joint="hip_${n}"/><motor joint="ankle_${n}"/>`).join('')}</actuator>
</mujoco>`;

function healthy({ qpos, qvel }: World): boolean {
  for (let i = 0; i < qpos.length; i++) if (!Number.isFinite(qpos[i])) return false;
  for (let i = 0; i < qvel.length; i++) if (!Number.isFinite(qvel[i])) return false;
  return qpos[2] >= 0.2 && qpos[2] <= 1;
}

/**
 * Observation [105]: height, orientation [4] and the eight joints' angles, all fourteen velocities, then torque and
 * force of contacts on each of the thirteen bodies within ±1. Actions [8]: hip and ankle of the legs at +x−y, +x+y,
 * −x+y, −x−y.
 */
export const ant: MujocoTask = {
  id: 'Ant-v5',
  model,
  frameSkip: 5,
  rewardThreshold: 6000,
  contactForces: true,
  camera: { from: 'above', meters: 4, follow: 'torso' },
  observationSize: 105,
  reset(world, random) {
    addNoise(world.qpos, 0.1, random, 'uniform');
    addNoise(world.qvel, 0.1, random, 'normal');
  },
  reward(world) {
    const { xpos, before, dt, cfrc_ext } = world;
    const x = world.body('torso') * 3;
    let contact = 0;
    for (let i = 0; i < cfrc_ext.length; i++) contact += clamp(cfrc_ext[i], 1) ** 2;
    const velocity = (xpos[x] - before.xpos[x]) / dt;
    return velocity + (healthy(world) ? 1 : 0) - 0.5 * effort(world) - 5e-4 * contact;
  },
  terminated: (world) => !healthy(world),
  observe({ qpos, qvel, cfrc_ext }, observation) {
    let at = 0;
    for (let i = 2; i < qpos.length; i++) observation[at++] = qpos[i];
    for (let i = 0; i < qvel.length; i++) observation[at++] = qvel[i];
    for (let i = 6; i < cfrc_ext.length; i++) observation[at++] = clamp(cfrc_ext[i], 1); // the first body is the world
  },
};
