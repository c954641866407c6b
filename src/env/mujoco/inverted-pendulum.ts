/**
 * InvertedPendulum-v5: a pole kept upright on a cart by a continuous force (Gymnasium v5's model, reward and limits).
 * Reward 1 a step; ends when the pole leans more than 0.2 rad.
 */

import { addNoise } from './motion.ts';
import type { MujocoTask, World } from './task.ts';

const model = `
<mujoco>
  <size memory="1M"/>
  <option timestep="0.02" integrator="RK4"/>
  <default>
    <joint damping="1"/>
    <geom type="capsule" contype="0" friction="1 0.1 0.1"/>
  </default>
  <worldbody>
    <geom axisangle="0 1 0 90" size="0.02 1" rgba="0.87 0.89 0.91 1"/>
    <body name="cart">
      <joint name="slider" type="slide" axis="1 0 0" range="-1 1"/>
      <geom axisangle="0 1 0 90" size="0.1 0.1" rgba="0.24 0.35 0.6 1"/>
      <body name="pole">
        <joint name="hinge" axis="0 1 0" range="-90 90"/>
        <geom fromto="0 0 0 0.001 0 0.6" size="0.049" rgba="0.79 0.51 0.17 1"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="slider" ctrlrange="-3 3" gear="100"/>
  </actuator>
</mujoco>`;

const stands = ({ qpos, qvel }: World) => Math.abs(qpos[1]) <= 0.2 && Number.isFinite(qpos[0] + qvel[0] + qvel[1]);

/** Observation [4]: position m, angle rad, velocity m/s, angular velocity rad/s. Actions [1]: force along the rail. */
export const invertedPendulum: MujocoTask = {
  id: 'InvertedPendulum-v5',
  model,
  frameSkip: 2,
  rewardThreshold: 950,
  camera: { from: 'side', meters: 2.4, center: [0, 0.2] },
  reset(world, random) {
    addNoise(world.qpos, 0.01, random, 'uniform');
    addNoise(world.qvel, 0.01, random, 'uniform');
  },
  reward: (world) => (stands(world) ? 1 : 0),
  terminated: (world) => !stands(world),
};
