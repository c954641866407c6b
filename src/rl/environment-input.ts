/** The environment that callers pass to a verb: a name, a file, a function that makes it, or a source. */

import { type EnvironmentSource, sourceOf } from '../env/batch/source.ts';
import type { Environment } from '../env/environment.ts';
import { type OpenOptions, openEnvironment } from '../env/open/open.ts';
import { HeedError } from '../error.ts';

/**
 * An environment: a name (`CartPole-v1`), a file (`./my-env.js`), a function that makes a new environment at each call,
 * or a source of environments, which stays the caller's.
 */
export type EnvironmentInput = string | (() => Environment) | EnvironmentSource;

/**
 * Opens the environment of the input and passes it to `create`. Disposing of the result also disposes of what was
 * opened; a source that the caller passed is left alone.
 */
export async function inEnvironment<T extends Disposable>(
  env: EnvironmentInput,
  options: OpenOptions,
  create: (environment: EnvironmentSource) => T | Promise<T>,
): Promise<T> {
  const isSource = typeof env === 'object' && env !== null;
  if (isSource && typeof env.batch !== 'function') {
    throw new HeedError('env: expected a name, a file, a function that makes an environment, or a source of them', {
      hint: 'write env: () => myEnvironment(), so that as many can be made as are stepped side by side',
    });
  }
  const environment =
    typeof env === 'string' ? await openEnvironment(env, options) : isSource ? env : sourceOf(env as () => Environment);
  const dispose = () => {
    if (!isSource) environment[Symbol.dispose]();
  };
  try {
    const made = await create(environment);
    const disposeMade = made[Symbol.dispose].bind(made);
    return Object.assign(made, {
      [Symbol.dispose]() {
        disposeMade();
        dispose();
      },
    });
  } catch (error) {
    dispose();
    throw error;
  }
}

/** The environment's name in options: the caller's, or its own. */
export const environmentName = (env: EnvironmentInput | undefined, { id }: Pick<EnvironmentSource, 'id'>): string =>
  typeof env === 'string' ? env : id;
