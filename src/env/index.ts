/** Environments: what an agent acts in. */

export { acrobot } from './acrobot.ts';
export type { EnvironmentBatch } from './batch.ts';
export { cartPole } from './cartpole.ts';
export { type Dynamics, type StateEnvironment, withTimeLimit } from './dynamics.ts';
export * from './environment.ts';
export { lunarLander } from './lunar-lander.ts';
export { checkEnvironment, environmentIds, makeEnvironment } from './make.ts';
export { mountainCar } from './mountain-car.ts';
export { mountainCarContinuous } from './mountain-car-continuous.ts';
export { pendulum } from './pendulum.ts';
export { scriptedLander } from './scripted-lander.ts';
export { type EnvironmentSource, type OpenOptions, openEnvironment, sourceOf, withEnvironment } from './source.ts';
export { createVectorEnvironment, type Episode, replay, type VectorEnvironment, type VectorState } from './vector.ts';
