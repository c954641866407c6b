/** Where environments come from: one for clips, many to be stepped together, whatever it takes to have them. */

import type { Environment } from '../environment.ts';
import { createBatch, type EnvironmentBatch } from './batch.ts';
import { guarded } from './fault.ts';

/** Makes copies of one environment, and knows what they have in common. */
export interface EnvironmentSource
  extends Pick<
    Environment,
    'id' | 'observationSpace' | 'actionSpace' | 'maxEpisodeSteps' | 'rewardThreshold' | 'framesPerSecond'
  > {
  /** One environment, in this thread. */
  make(): Environment;
  /** Copies that are stepped together. */
  batch(count: number): EnvironmentBatch;
  /** Ends what was started for it, and whatever is left of what it made. */
  [Symbol.dispose](): void;
}

/**
 * The source of environments that `make` makes, in this thread. What they throw, and numbers that are not finite,
 * become a HeedError that names the environment, the episode and the step.
 */
export const sourceOf = (make: () => Environment): EnvironmentSource => plainSource(() => guarded(make()));

/** The same of environments whose faults are known already, or that have none. */
export function plainSource(make: () => Environment): EnvironmentSource {
  let spare: Environment | undefined = make();
  const { id, observationSpace, actionSpace, maxEpisodeSteps, rewardThreshold, framesPerSecond } = spare;
  const next = () => {
    const environment = spare ?? make();
    spare = undefined;
    return environment;
  };
  return {
    id,
    observationSpace,
    actionSpace,
    maxEpisodeSteps,
    rewardThreshold,
    framesPerSecond,
    make: next,
    batch: (count) => createBatch(next, count),
    [Symbol.dispose]: () => spare?.[Symbol.dispose]?.(),
  };
}
