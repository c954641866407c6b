/**
 * Hopper-v5: a one-legged figure in a plane that hops forward (Erez, Tassa & Todorov 2011; Gymnasium v5's model,
 * reward and limits). Reward: 1 for every step on its foot, plus its speed, less 0.001 × squared torques; ends when
 * it falls or leans more than 0.2 rad.
 */

import { walking } from './motion.ts';
import type { MujocoTask, World } from './task.ts';

const model = `
<mujoco>
  <size memory="1M"/>
  <option timestep="0.002" integrator="RK4"/>
  <default>
    <joint armature="1" damping="1"/>
    <geom condim="1" friction="0.9" margin="0.001" solimp="0.8 0.8 0.01" rgba="0.24 0.35 0.6 1"/>
    <motor ctrlrange="-1 1" gear="200"/>
  </default>
  <worldbody>
    <geom type="plane" size="20 20 0.125" condim="3" friction="1"/>
    <body name="torso" pos="0 0 1.25">
      <joint name="x" type="slide" axis="1 0 0" pos="0 0 -1.25" armature="0" damping="0"/>
      <joint name="z" type="slide" axis="0 0 1" pos="0 0 -1.25" ref="1.25" armature="0" damping="0"/>
      <joint name="lean" axis="0 1 0" armature="0" damping="0"/>
      <geom type="capsule" fromto="0 0 0.2 0 0 -0.2" size="0.05"/>
      <body name="thigh" pos="0 0 -0.2">
        <joint name="hip" axis="0 -1 0" range="-150 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.45" size="0.05" rgba="0.79 0.51 0.17 1"/>
        <body name="leg" pos="0 0 -0.7">
          <joint name="knee" axis="0 -1 0" pos="0 0 0.25" range="-150 0"/>
          <geom type="capsule" fromto="0 0 0.25 0 0 -0.25" size="0.04"/>
          <body name="foot" pos="0.13 0 -0.35">
            <joint name="ankle" axis="0 -1 0" pos="-0.13 0 0.1" range="-45 45"/>
            <geom type="capsule" fromto="-0.26 0 0.1 0.13 0 0.1" size="0.06" friction="2" rgba="0.79 0.51 0.17 1"/>
          </body>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="hip"/>
    <motor joint="knee"/>
    <motor joint="ankle"/>
  </actuator>
</mujoco>`;

function stands({ qpos, qvel }: World): boolean {
  if (!(qpos[1] > 0.7 && Math.abs(qpos[2]) < 0.2)) return false;
  for (let i = 2; i < qpos.length; i++) if (!(Math.abs(qpos[i]) < 100)) return false;
  for (let i = 0; i < qvel.length; i++) if (!(Math.abs(qvel[i]) < 100)) return false;
  return true;
}

/**
 * Observation [11]: height, lean and the three joints' angles, then all six velocities within ±10. Actions [3]: hip,
 * knee, ankle.
 */
export const hopper: MujocoTask = {
  id: 'Hopper-v5',
  model,
  frameSkip: 4,
  rewardThreshold: 3800,
  camera: { from: 'side', meters: 3, follow: 'torso', center: [0, 0.8] },
  observationSize: 11,
  ...walking(stands),
};
