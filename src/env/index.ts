/** Environments: what an agent acts in. */

export { type Random, random } from '../random.ts';
export type { EnvironmentBatch } from './batch/batch.ts';
export { type EnvironmentSource, sourceOf } from './batch/source.ts';
export {
  createVectorEnvironment,
  type Episode,
  type FinishedEpisodes,
  replay,
  type VectorEnvironment,
  type VectorState,
} from './batch/vector.ts';
export { acrobot } from './classic/acrobot.ts';
export { cartPole } from './classic/cartpole.ts';
export { mountainCar } from './classic/mountain-car.ts';
export { mountainCarContinuous } from './classic/mountain-car-continuous.ts';
export { pendulum } from './classic/pendulum.ts';
export { type Dynamics, type StateEnvironment, withTimeLimit } from './dynamics.ts';
export * from './environment.ts';
export { type LunarLanderOptions, lunarLander } from './lunar-lander/lunar-lander.ts';
export { scriptedLander } from './lunar-lander/scripted-lander.ts';
export { loadMujoco, mujocoIds } from './mujoco/mujoco.ts';
export type { MujocoTask, World } from './mujoco/task.ts';
export { type EnvironmentGroup, listEnvironments } from './open/list.ts';
export { checkEnvironment } from './open/load.ts';
export { environmentIds, makeEnvironment } from './open/make.ts';
export { type OpenOptions, openEnvironment } from './open/open.ts';
export { isFile } from './open/own-file.ts';
export { environments } from './open/registered.ts';
export { bar, circle, ink, line, polygon, rectangle } from './picture/shapes.ts';
