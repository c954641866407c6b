/** Environments by name. */

import { HeedError } from '../error.ts';
import { acrobot } from './acrobot.ts';
import { cartPole } from './cartpole.ts';
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
};

export const environmentIds: string[] = Object.keys(environments);

/** The environment of that name; HeedError with the nearest names when there is none. */
export function makeEnvironment(id: string): Environment {
  checkEnvironment(id);
  return environments[id]();
}

/** HeedError with the nearest names when there is no environment of that name. Nothing is loaded or started. */
export function checkEnvironment(id: string): void {
  if (Object.hasOwn(environments, id)) return;
  const distances = new Map(
    environmentIds.map((known) => [known, editDistance(id.toLowerCase(), known.toLowerCase())]),
  );
  const nearest = Math.min(...distances.values());
  const meant = environmentIds.filter((known) => distances.get(known) === nearest);
  throw new HeedError(`unknown environment: expected one of ${environmentIds.join(', ')}, got "${id}"`, {
    hint: `did you mean ${meant.join(' or ')}?`,
  });
}

/** Levenshtein's: insertions, deletions and replacements between two strings. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}
