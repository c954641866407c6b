/**
 * Reacher-v5: an arm of two links, seen from above, that brings its fingertip to a target (Gymnasium v5's model and
 * reward). Reward: minus the distance, minus the squared torques; never ends, 50 steps.
 */

import { addNoise, effort } from './motion.ts';
import type { MujocoTask, World } from './task.ts';

const model = `
<mujoco>
  <compiler angle="radian"/>
  <size memory="1M"/>
  <option timestep="0.01" integrator="RK4"/>
  <default>
    <joint axis="0 0 1"/>
    <geom contype="0" conaffinity="0" friction="1 0.1 0.1"/>
    <motor ctrlrange="-1 1" gear="200"/>
    <default class="arm">
      <joint armature="1" damping="1"/>
      <geom type="capsule" size="0.01" conaffinity="1" rgba="0.24 0.35 0.6 1"/>
    </default>
    <default class="wall">
      <geom type="capsule" size="0.02" rgba="0.87 0.89 0.91 1"/>
    </default>
  </default>
  <worldbody>
    <geom type="plane" size="1 1 10"/>
    <geom class="wall" fromto="-0.3 -0.3 0.01 0.3 -0.3 0.01"/>
    <geom class="wall" fromto="0.3 -0.3 0.01 0.3 0.3 0.01"/>
    <geom class="wall" fromto="-0.3 0.3 0.01 0.3 0.3 0.01"/>
    <geom class="wall" fromto="-0.3 -0.3 0.01 -0.3 0.3 0.01"/>
    <geom type="cylinder" fromto="0 0 0 0 0 0.02" size="0.011" rgba="0.18 0.21 0.25 1"/>
    <body name="upper" pos="0 0 0.01" childclass="arm">
      <joint name="shoulder"/>
      <geom fromto="0 0 0 0.1 0 0"/>
      <body name="lower" pos="0.1 0 0">
        <joint name="elbow" range="-3 3"/>
        <geom fromto="0 0 0 0.1 0 0" rgba="0.79 0.51 0.17 1"/>
        <body name="fingertip" pos="0.11 0 0">
          <geom type="sphere" rgba="0.18 0.21 0.25 1"/>
        </body>
      </body>
    </body>
    <body name="target" pos="0.1 -0.1 0.01">
      <joint name="target_x" type="slide" axis="1 0 0" ref="0.1" range="-0.27 0.27"/>
      <joint name="target_y" type="slide" axis="0 1 0" ref="-0.1" range="-0.27 0.27"/>
      <geom type="sphere" size="0.009" rgba="0.75 0.22 0.17 1"/>
    </body>
  </worldbody>
  <actuator>
    <motor joint="shoulder"/>
    <motor joint="elbow"/>
  </actuator>
</mujoco>`;

/** From the target to the fingertip along one axis, m. */
function apart(world: World, axis: number): number {
  return world.xpos[world.body('fingertip') * 3 + axis] - world.xpos[world.body('target') * 3 + axis];
}

/**
 * Observation [10]: cosines of both joints' angles, their sines, the target's x and y, both angular velocities, and x
 * and y from the target to the fingertip. Actions [2]: shoulder, elbow.
 */
export const reacher: MujocoTask = {
  id: 'Reacher-v5',
  model,
  frameSkip: 2,
  maxEpisodeSteps: 50,
  rewardThreshold: -3.75,
  camera: { from: 'above', meters: 0.66 },
  observationSize: 10,
  reset({ qpos, qvel }, random) {
    addNoise(qpos, 0.1, random, 'uniform');
    addNoise(qvel, 5e-3, random, 'uniform');
    do {
      qpos[2] = 0.4 * random.uniform() - 0.2;
      qpos[3] = 0.4 * random.uniform() - 0.2;
    } while (Math.hypot(qpos[2], qpos[3]) >= 0.2);
    qvel.fill(0, 2);
  },
  reward: (world) => -Math.hypot(apart(world, 0), apart(world, 1), apart(world, 2)) - effort(world),
  observe(world, observation) {
    const { qpos, qvel } = world;
    observation[0] = Math.cos(qpos[0]);
    observation[1] = Math.cos(qpos[1]);
    observation[2] = Math.sin(qpos[0]);
    observation[3] = Math.sin(qpos[1]);
    observation[4] = qpos[2];
    observation[5] = qpos[3];
    observation[6] = qvel[0];
    observation[7] = qvel[1];
    observation[8] = apart(world, 0);
    observation[9] = apart(world, 1);
  },
};
