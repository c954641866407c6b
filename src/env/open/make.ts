/** Environments that need no loading: classic control and the lunar lander. */

import { HeedError } from '../../error.ts';
import { acrobot } from '../classic/acrobot.ts';
import { cartPole } from '../classic/cartpole.ts';
import { cartPoleSwing } from '../classic/cartpole-swing.ts';
import { mountainCar } from '../classic/mountain-car.ts';
import { mountainCarContinuous } from '../classic/mountain-car-continuous.ts';
import { pendulum } from '../classic/pendulum.ts';
import type { Environment } from '../environment.ts';
import { lunarLander } from '../lunar-lander/lunar-lander.ts';

const environments: Record<string, () => Environment> = {
  'CartPole-v1': cartPole,
  'Acrobot-v1': acrobot,
  'Pendulum-v1': pendulum,
  'MountainCar-v0': mountainCar,
  'MountainCarContinuous-v0': mountainCarContinuous,
  'LunarLander-v3': lunarLander,
  'LunarLanderContinuous-v3': () => lunarLander({ continuous: true }),
  'CartPole-swing': cartPoleSwing,
};

/** The names of the environments that `makeEnvironment` makes. */
export const environmentIds: string[] = Object.keys(environments);

/** Makes one of `environmentIds`. @throws HeedError for any other name. */
export function makeEnvironment(id: string): Environment {
  if (Object.hasOwn(environments, id)) return environments[id]();
  throw new HeedError(`expected one of ${environmentIds.join(', ')}, got "${id}"`, {
    hint: 'open any other with openEnvironment, which can wait for what it needs',
  });
}
