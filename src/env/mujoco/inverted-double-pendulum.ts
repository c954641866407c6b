/**
 * InvertedDoublePendulum-v5: two poles, one on the other, kept upright on a cart (Gymnasium v5's model, reward and
 * limits). Reward: 10 for every step, less the tip's distance from its highest place and the poles' speeds; ends when
 * the tip is 1 m or less above the cart.
 */

import { addNoise, clamp } from './motion.ts';
import type { MujocoTask, World } from './task.ts';

const model = `
<mujoco>
  <size memory="1M"/>
  <option timestep="0.01" integrator="RK4" gravity="1e-5 0 -9.81"/>
  <default>
    <joint damping="0.05"/>
    <geom type="capsule" contype="0" friction="1 0.1 0.1"/>
  </default>
  <worldbody>
    <geom type="plane" pos="0 0 -3" size="40 40 40" rgba="0 0 0 0"/>
    <geom axisangle="0 1 0 90" size="0.02 1" rgba="0.87 0.89 0.91 1"/>
    <body name="cart">
      <joint name="slider" type="slide" axis="1 0 0" range="-1 1" margin="0.01"/>
      <geom axisangle="0 1 0 90" size="0.1 0.1" rgba="0.24 0.35 0.6 1"/>
      <body name="pole">
        <joint name="hinge" axis="0 1 0"/>
        <geom fromto="0 0 0 0 0 0.6" size="0.045" rgba="0.79 0.51 0.17 1"/>
        <body name="pole2" pos="0 0 0.6">
          <joint name="hinge2" axis="0 1 0"/>
          <geom fromto="0 0 0 0 0 0.6" size="0.045" rgba="0.48 0.53 0.71 1"/>
          <site name="tip" pos="0 0 0.6"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="slider" ctrlrange="-1 1" gear="500"/>
  </actuator>
</mujoco>`;

const fallen = ({ site_xpos }: World) => site_xpos[2] <= 1;

/**
 * Observation [9]: the cart's position m, sines of the two poles' angles, their cosines, the three velocities within
 * ±10, and the force of the rail's end on the cart within ±10. Actions [1]: force along the rail.
 */
export const invertedDoublePendulum: MujocoTask = {
  id: 'InvertedDoublePendulum-v5',
  model,
  frameSkip: 5,
  rewardThreshold: 9100,
  camera: { from: 'side', meters: 2.7, center: [0, 0.5] },
  observationSize: 9,
  reset(world, random) {
    addNoise(world.qpos, 0.1, random, 'uniform');
    addNoise(world.qvel, 0.1, random, 'normal');
  },
  reward(world) {
    const { site_xpos, qvel } = world;
    const distance = 0.01 * site_xpos[0] ** 2 + (site_xpos[2] - 2) ** 2;
    const speed = 1e-3 * qvel[1] ** 2 + 5e-3 * qvel[2] ** 2;
    return (fallen(world) ? 0 : 10) - distance - speed;
  },
  terminated: fallen,
  observe({ qpos, qvel, qfrc_constraint }, observation) {
    observation[0] = qpos[0];
    observation[1] = Math.sin(qpos[1]);
    observation[2] = Math.sin(qpos[2]);
    observation[3] = Math.cos(qpos[1]);
    observation[4] = Math.cos(qpos[2]);
    for (let i = 0; i < 3; i++) observation[5 + i] = clamp(qvel[i], 10);
    observation[8] = clamp(qfrc_constraint[0], 10);
  },
};
