/**
 * HalfCheetah-v5: a two-legged runner in a plane (Wawrzyński 2009; Gymnasium v5's model and reward). Reward: its speed
 * less 0.1 × squared torques; never ends.
 */

import { addNoise, effort, forwardVelocity, observeState } from './motion.ts';
import type { MujocoTask } from './task.ts';

const model = `
<mujoco>
  <compiler angle="radian" settotalmass="14"/>
  <size memory="1M"/>
  <option timestep="0.01"/>
  <default>
    <joint armature="0.1" axis="0 1 0" solimplimit="0 0.8 0.03"/>
    <geom type="capsule" size="0.046" conaffinity="0" friction="0.4 0.1 0.1" solimp="0 0.8 0.01" rgba="0.24 0.35 0.6 1"/>
    <motor ctrlrange="-1 1"/>
  </default>
  <worldbody>
    <geom type="plane" size="40 40 40" conaffinity="1"/>
    <body name="torso" pos="0 0 0.7">
      <joint name="x" type="slide" axis="1 0 0" armature="0"/>
      <joint name="z" type="slide" axis="0 0 1" armature="0"/>
      <joint name="pitch" armature="0"/>
      <geom fromto="-0.5 0 0 0.5 0 0"/>
      <geom pos="0.6 0 0.1" axisangle="0 1 0 0.87" size="0.046 0.15"/>
      <body name="bthigh" pos="-0.5 0 0">
        <joint name="bthigh" range="-0.52 1.05" stiffness="240" damping="6"/>
        <geom pos="0.1 0 -0.13" axisangle="0 1 0 -3.8" size="0.046 0.145" rgba="0.79 0.51 0.17 1"/>
        <body name="bshin" pos="0.16 0 -0.25">
          <joint name="bshin" range="-0.785 0.785" stiffness="180" damping="4.5"/>
          <geom pos="-0.14 0 -0.07" axisangle="0 1 0 -2.03" size="0.046 0.15" rgba="0.79 0.51 0.17 1"/>
          <body name="bfoot" pos="-0.28 0 -0.14">
            <joint name="bfoot" range="-0.4 0.785" stiffness="120" damping="3"/>
            <geom pos="0.03 0 -0.097" axisangle="0 1 0 -0.27" size="0.046 0.094" rgba="0.79 0.51 0.17 1"/>
          </body>
        </body>
      </body>
      <body name="fthigh" pos="0.5 0 0">
        <joint name="fthigh" range="-1 0.7" stiffness="180" damping="4.5"/>
        <geom pos="-0.07 0 -0.12" axisangle="0 1 0 0.52" size="0.046 0.133" rgba="0.48 0.53 0.71 1"/>
        <body name="fshin" pos="-0.14 0 -0.24">
          <joint name="fshin" range="-1.2 0.87" stiffness="120" damping="3"/>
          <geom pos="0.065 0 -0.09" axisangle="0 1 0 -0.6" size="0.046 0.106" rgba="0.48 0.53 0.71 1"/>
          <body name="ffoot" pos="0.13 0 -0.18">
            <joint name="ffoot" range="-0.5 0.5" stiffness="60" damping="1.5"/>
            <geom pos="0.045 0 -0.07" axisangle="0 1 0 -0.6" size="0.046 0.07" rgba="0.48 0.53 0.71 1"/>
          </body>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="bthigh" gear="120"/>
    <motor joint="bshin" gear="90"/>
    <motor joint="bfoot" gear="60"/>
    <motor joint="fthigh" gear="120"/>
    <motor joint="fshin" gear="60"/>
    <motor joint="ffoot" gear="30"/>
  </actuator>
</mujoco>`;

/**
 * Observation [17]: height, pitch and the six joints' angles, then all nine velocities. Actions [6]: thigh, shin, foot
 * of the back leg, then of the front leg.
 */
export const halfCheetah: MujocoTask = {
  id: 'HalfCheetah-v5',
  model,
  frameSkip: 5,
  rewardThreshold: 4800,
  camera: { from: 'side', meters: 3.2, follow: 'torso', center: [0, 0.7] },
  observationSize: 17,
  reset(world, random) {
    addNoise(world.qpos, 0.1, random, 'uniform');
    addNoise(world.qvel, 0.1, random, 'normal');
  },
  reward: (world) => forwardVelocity(world) - 0.1 * effort(world),
  observe: (world, observation) => observeState(world, observation, 1),
};
