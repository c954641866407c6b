/** Where environments come from: one for clips, many to be stepped together, whatever it takes to have them. */

import { createBatch, type EnvironmentBatch } from './batch.ts';
import type { Environment } from './environment.ts';
import { makeEnvironment } from './make.ts';

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
  release(): void;
}

/** The source of environments that `make` makes, in this thread. */
export function sourceOf(make: () => Environment): EnvironmentSource {
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
    release: () => spare?.release?.(),
  };
}

export interface OpenOptions {
  /** Threads, or processes of another program, that step copies; 0 for this thread. */
  workers?: number;
  /** The Python that Gymnasium is in (default: HEED_PYTHON, or python3). */
  python?: string;
}

/** The environments of that name; HeedError where there are none, or what they need is missing. */
export async function openEnvironment(id: string, _options: OpenOptions = {}): Promise<EnvironmentSource> {
  return sourceOf(await loadEnvironment(id));
}

/** What `create` makes of an environment that is opened for it; releasing the one releases the other. */
export async function withEnvironment<T extends { release(): void }>(
  { env, ...options }: OpenOptions & { env: string },
  create: (environment: EnvironmentSource) => T,
): Promise<T> {
  const environment = await openEnvironment(env, options);
  try {
    const made = create(environment);
    const release = made.release.bind(made);
    return Object.assign(made, {
      release() {
        release();
        environment.release();
      },
    });
  } catch (error) {
    environment.release();
    throw error;
  }
}

/** What makes the environment of that name, where it lives in this process. */
export async function loadEnvironment(id: string): Promise<() => Environment> {
  makeEnvironment(id);
  return () => makeEnvironment(id);
}
