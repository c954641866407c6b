/** Makes environments from MuJoCo tasks. */

import type { MainModule, MjData, MjModel } from '@mujoco/mujoco';
import { HeedError } from '../../error.ts';
import { random } from '../../random.ts';
import { withTimeLimit } from '../dynamics.ts';
import type { Box } from '../environment.ts';
import { picture } from './picture.ts';
import type { MujocoEnvironment, MujocoTask } from './task.ts';
import { compileModel, Simulation } from './world.ts';

/** A task and its compiled model. */
interface CompiledTask {
  readonly mujoco: MainModule;
  readonly model: MjModel;
  readonly task: MujocoTask;
}

// memory without references is freed, even if nobody disposed of it
const abandoned = new FinalizationRegistry<MjModel | MjData>((held) => held.isDeleted() || held.delete());

/** Compiles a task. The model is freed once neither this nor any of its environments is referenced. */
export function compileTask(mujoco: MainModule, task: MujocoTask): CompiledTask {
  const compiled = { mujoco, model: compileModel(mujoco, task), task };
  abandoned.register(compiled, compiled.model);
  return compiled;
}

/** A copy of the task's environment: its own simulation of the shared model. */
export function mujocoEnvironment(compiled: CompiledTask): MujocoEnvironment {
  const { mujoco, model, task } = compiled;
  const { id, maxEpisodeSteps = 1000, rewardThreshold } = task;
  const world = new Simulation(mujoco, model, task);
  const observationSize = task.observationSize ?? model.nq + model.nv;
  const actionSpace = controls(model);
  const { low, high } = actionSpace;

  const environment = withTimeLimit({
    id,
    observationSpace: box(observationSize),
    actionSpace,
    maxEpisodeSteps,
    rewardThreshold,
    framesPerSecond: Math.round(1 / world.dt),
    start(seed) {
      world.clear();
      task.reset?.(world, random(seed, id));
      world.forward();
    },
    advance(action, outcome) {
      world.renew();
      for (let i = 0; i < low.length; i++) world.ctrl[i] = Math.min(Math.max(action[i], low[i]), high[i]);
      world.step();
      outcome.reward = task.reward(world);
      if (!Number.isFinite(outcome.reward)) {
        throw new HeedError(`${id}: expected a finite number as reward, got ${outcome.reward}`, {
          hint: 'let reward(world) return a number for every state',
        });
      }
      outcome.terminated = task.terminated?.(world) ?? false;
    },
    observe(observation) {
      if (task.observe) return task.observe(world, observation);
      observation.set(world.qpos);
      observation.set(world.qvel, world.qpos.length);
    },
    frame: () => picture(world, task.camera),
  });
  const whole = {
    ...environment,
    world,
    compiled, // keeps the model alive
    [Symbol.dispose]: () => world.delete(),
  };
  abandoned.register(whole, world.data);
  return whole;
}

/** Unbounded numbers. */
const box = (size: number): Box => ({
  kind: 'box',
  low: new Float32Array(size).fill(-Infinity),
  high: new Float32Array(size).fill(Infinity),
});

/** [nu]: the control range of each actuator, unbounded if it has none. */
function controls(model: MjModel): Box {
  const space = box(model.nu);
  const range = model.actuator_ctrlrange as Float64Array;
  for (let i = 0; i < model.nu; i++) {
    if (range[2 * i] === 0 && range[2 * i + 1] === 0) continue;
    space.low[i] = range[2 * i];
    space.high[i] = range[2 * i + 1];
  }
  return space;
}
