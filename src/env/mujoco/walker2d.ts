/**
 * Walker2d-v5: a two-legged figure in a plane that walks (Erez, Tassa & Todorov 2011; Gymnasium v5's model, reward and
 * limits). Reward: 1 for every step upright, plus its speed, less 0.001 × squared torques; ends when it falls or
 * leans more than 1 rad.
 */

import { walking } from './motion.ts';
import type { MujocoTask, World } from './task.ts';

const leg = (side: string, rgba: string) => `
      <body name="${side}thigh" pos="0 0 -0.2">
        <joint name="${side}hip" axis="0 -1 0" range="-150 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.45" size="0.05" rgba="${rgba}"/>
        <body name="${side}leg" pos="0 0 -0.7">
          <joint name="${side}knee" axis="0 -1 0" pos="0 0 0.25" range="-150 0"/>
          <geom type="capsule" fromto="0 0 0.25 0 0 -0.25" size="0.04" rgba="${rgba}"/>
          <body name="${side}foot" pos="0.2 0 -0.35">
            <joint name="${side}ankle" axis="0 -1 0" pos="-0.2 0 0.1" range="-45 45"/>
            <geom type="capsule" fromto="-0.2 0 0.1 0 0 0.1" size="0.06" friction="1.9 0.1 0.1" rgba="${rgba}"/>
          </body>
        </body>
      </body>`;

const model = `
<mujoco>
  <size memory="1M"/>
  <option timestep="0.002" integrator="RK4"/>
  <default>
    <joint armature="0.01" damping="0.1"/>
    <geom conaffinity="0" friction="0.9 0.1 0.1"/>
    <motor ctrlrange="-1 1" gear="100"/>
  </default>
  <worldbody>
    <geom type="plane" size="40 40 40" conaffinity="1" friction="0.7 0.1 0.1"/>
    <body name="torso" pos="0 0 1.25">
      <joint name="x" type="slide" axis="1 0 0" pos="0 0 -1.25" armature="0" damping="0"/>
      <joint name="z" type="slide" axis="0 0 1" pos="0 0 -1.25" ref="1.25" armature="0" damping="0"/>
      <joint name="lean" axis="0 1 0" armature="0" damping="0"/>
      <geom type="capsule" fromto="0 0 0.2 0 0 -0.2" size="0.05" rgba="0.24 0.35 0.6 1"/>${leg('', '0.79 0.51 0.17 1')}${leg('left_', '0.48 0.53 0.71 1')}
    </body>
  </worldbody>
  <actuator>
    <motor joint="hip"/>
    <motor joint="knee"/>
    <motor joint="ankle"/>
    <motor joint="left_hip"/>
    <motor joint="left_knee"/>
    <motor joint="left_ankle"/>
  </actuator>
</mujoco>`;

const stands = ({ qpos }: World) => qpos[1] > 0.8 && qpos[1] < 2 && Math.abs(qpos[2]) < 1;

/**
 * Observation [17]: height, lean and the six joints' angles, then all nine velocities within ±10. Actions [6]: hip,
 * knee, ankle of the right leg, then of the left.
 */
export const walker2d: MujocoTask = {
  id: 'Walker2d-v5',
  model,
  frameSkip: 4,
  camera: { from: 'side', meters: 3, follow: 'torso', center: [0, 0.8] },
  observationSize: 17,
  ...walking(stands),
};
