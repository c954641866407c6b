/** Environments that are made at once: classic control and the lunar lander. */

import { HeedError } from '../error.ts';
import { acrobot } from './acrobot.ts';
import { cartPole } from './cartpole.ts';
import { cartPoleSwing } from './cartpole-swing.ts';
import type { Environment } from './environment.ts';
import { lunarLander } from './lunar-lander.ts';
import { mountainCar } from './mountain-car.ts';
import { mountainCarContinuous } from './mountain-car-continuous.ts';
import { pendulum } from './pendulum.ts';

const environments: Record<string, () => Environment> = {
  'CartPole-v1': cartPole,
  'Acrobot-v1': acrobot,
  'Pendulum-v1': pendulum,
  'MountainCar-v0': mountainCar,
  'MountainCarContinuous-v0': mountainCarContinuous,
  'LunarLander-v3': () => lunarLander(),
  'CartPole-swing': cartPoleSwing,
};

export const environmentIds: string[] = Object.keys(environments);

/** One of `environmentIds`; HeedError for any other name. */
export function makeEnvironment(id: string): Environment {
  if (Object.hasOwn(environments, id)) return environments[id]();
  throw new HeedError(`expected one of ${environmentIds.join(', ')}, got "${id}"`, {
    hint: 'open any other with openEnvironment, which can wait for what it needs',
  });
}
