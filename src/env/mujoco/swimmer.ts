/**
 * Swimmer-v5: three links in a thick fluid that move on by bending (Coulom 2002; Gymnasium v5's model and reward).
 * Reward: speed along x less 0.0001 × squared torques; never ends.
 */

import { addNoise, effort, forwardVelocity, observeState } from './motion.ts';
import type { MujocoTask } from './task.ts';

const model = `
<mujoco>
  <size memory="1M"/>
  <option timestep="0.01" integrator="RK4" density="4000" viscosity="0.1"/>
  <default>
    <joint armature="0.1" axis="0 0 1"/>
    <geom type="capsule" size="0.1" contype="0" conaffinity="0" condim="1" rgba="0.24 0.35 0.6 1"/>
    <motor ctrlrange="-1 1" gear="150"/>
  </default>
  <worldbody>
    <geom type="plane" pos="0 0 -0.1" size="40 40 0.1" condim="3"/>
    <body name="torso">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
      <joint name="turn"/>
      <geom fromto="1.5 0 0 0.5 0 0"/>
      <body name="mid" pos="0.5 0 0">
        <joint name="front" range="-100 100"/>
        <geom fromto="0 0 0 -1 0 0" rgba="0.79 0.51 0.17 1"/>
        <body name="back" pos="-1 0 0">
          <joint name="rear" range="-100 100"/>
          <geom fromto="0 0 0 -1 0 0" rgba="0.48 0.53 0.71 1"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="front"/>
    <motor joint="rear"/>
  </actuator>
</mujoco>`;

/**
 * Observation [8]: heading and the two joints' angles, then all five velocities. Actions [2]: front joint, rear joint.
 */
export const swimmer: MujocoTask = {
  id: 'Swimmer-v5',
  model,
  frameSkip: 4,
  rewardThreshold: 360,
  camera: { from: 'above', meters: 5, follow: 'mid' },
  observationSize: 8,
  reset(world, random) {
    addNoise(world.qpos, 0.1, random, 'uniform');
    addNoise(world.qvel, 0.1, random, 'uniform');
  },
  reward: (world) => forwardVelocity(world) - 1e-4 * effort(world),
  observe: (world, observation) => observeState(world, observation, 2),
};
