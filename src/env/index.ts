/** Environments: what an agent acts in. */

export { type Random, random } from '../random.ts';
export { acrobot } from './acrobot.ts';
export type { EnvironmentBatch } from './batch.ts';
export { cartPole } from './cartpole.ts';
export { type Dynamics, type StateEnvironment, withTimeLimit } from './dynamics.ts';
export * from './environment.ts';
export { type EnvironmentGroup, listEnvironments } from './list.ts';
export { checkEnvironment } from './load.ts';
export { lunarLander } from './lunar-lander.ts';
export { environmentIds, makeEnvironment } from './make.ts';
export { mountainCar } from './mountain-car.ts';
export { mountainCarContinuous } from './mountain-car-continuous.ts';
export { loadMujoco, type MujocoTask, mujocoIds, type World } from './mujoco/index.ts';
export { type OpenOptions, openEnvironment, withEnvironment } from './open.ts';
export { isFile } from './own-file.ts';
export { pendulum } from './pendulum.ts';
export { scriptedLander } from './scripted-lander.ts';
export { bar, circle, ink, line, polygon, rectangle } from './shapes.ts';
export { type EnvironmentSource, sourceOf } from './source.ts';
export { createVectorEnvironment, type Episode, replay, type VectorEnvironment, type VectorState } from './vector.ts';
