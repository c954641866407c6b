/** PPO's discount in an environment that nobody has tuned: docs/lab/strangers.md has what it was chosen by. */

import type { EnvironmentSource } from '../env/batch/source.ts';
import { createVectorEnvironment } from '../env/batch/vector.ts';
import { random, seedFor } from '../random.ts';
import { uniformActions } from './policy.ts';

/**
 * γ for episodes that are cut after so many steps: it looks a fifth of them ahead, at least 33 steps and at most 200.
 * The errors of a critic and of a learned reward add up over what it looks ahead.
 */
export const discountFor = (timeLimit: number): number =>
  Number(Math.min(0.995, Math.max(0.97, 1 - 5 / timeLimit)).toFixed(4));

const UNLIMITED = 10_000; // steps; a longer time limit says nothing of how long episodes are
const TRIED = 512; // steps of random play
const UNKNOWN = 0.99;

/** γ for the environment, by its time limit or, if it has none, by where random play is cut. */
export function discountIn(source: EnvironmentSource, seed: number): number {
  const { maxEpisodeSteps } = source;
  if (maxEpisodeSteps < UNLIMITED) return discountFor(maxEpisodeSteps);
  const limit = limitOfRandomPlay(source, seedFor(seed, 'time limit'));
  return limit === undefined ? UNKNOWN : discountFor(limit);
}

/** The length of the first episode of random play that is cut, if one is. */
function limitOfRandomPlay(source: EnvironmentSource, seed: number): number | undefined {
  using environment = createVectorEnvironment(source.batch(1), seed);
  const draw = random(seed, 'actions');
  const action = new Float32Array(environment.actionSize);
  environment.reset();
  for (let t = 0; t < TRIED; t++) {
    const { length } = environment.episodes[0];
    uniformActions(environment, draw, environment.observations, action);
    environment.step(action);
    if (environment.truncated[0]) return length + 1;
  }
  return undefined;
}
