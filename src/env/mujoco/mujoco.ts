/** MuJoCo's environments, which run in this process. */

import type { MainModule } from '@mujoco/mujoco';
import { HeedError } from '../../error.ts';
import { optionalPackage } from '../../optional-package.ts';
import { ant } from './ant.ts';
import { compileTask, mujocoEnvironment } from './environment.ts';
import { halfCheetah } from './half-cheetah.ts';
import { halfCheetahOneLeg } from './half-cheetah-one-leg.ts';
import { hopper } from './hopper.ts';
import { hopperBackflip } from './hopper-backflip.ts';
import { invertedDoublePendulum } from './inverted-double-pendulum.ts';
import { invertedPendulum } from './inverted-pendulum.ts';
import { reacher } from './reacher.ts';
import { swimmer } from './swimmer.ts';
import type { MujocoEnvironment, MujocoTask } from './task.ts';
import { walker2d } from './walker2d.ts';

/** The MuJoCo tasks by name. */
export const mujocoTasks: readonly MujocoTask[] = [
  hopper,
  halfCheetah,
  walker2d,
  swimmer,
  reacher,
  ant,
  invertedPendulum,
  invertedDoublePendulum,
];

/** Tasks without a reward, which a teacher has to teach. */
export const behaviorTasks: readonly MujocoTask[] = [hopperBackflip, halfCheetahOneLeg];

const tasks = [...mujocoTasks, ...behaviorTasks];

/** The names of the MuJoCo tasks. */
export const mujocoIds: readonly string[] = tasks.map(({ id }) => id);

// MuJoCo is loaded on first use: it takes a fifth of a second
let loading: Promise<MainModule> | undefined;

/**
 * Creates a function that makes environments of a task: one of `mujocoIds`, or your own. They share its compiled model.
 * @throws HeedError if there is no task with that name, or MuJoCo cannot compile its model.
 */
export async function loadMujoco(idOrTask: string | MujocoTask): Promise<() => MujocoEnvironment> {
  const task = typeof idOrTask === 'string' ? tasks.find(({ id }) => id === idOrTask) : idOrTask;
  if (!task) {
    throw new HeedError(`unknown MuJoCo task: expected one of ${mujocoIds.join(', ')}, got "${idOrTask}"`, {
      hint: 'name one of them, or pass your own task: see docs/reference/environments.md',
    });
  }
  loading ??= optionalPackage<typeof import('@mujoco/mujoco')>('@mujoco/mujoco', 'A task of MuJoCo').then((module) =>
    module.default(),
  );
  const compiled = compileTask(await loading, task);
  return () => mujocoEnvironment(compiled);
}
