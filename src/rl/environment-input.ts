/** The environment that callers pass to a verb: a name, a file, a function that makes it, or a source. */

import { startFreely } from '../engine/runtime/current.ts';
import { type EnvironmentSource, sourceOf } from '../env/batch/source.ts';
import type { Environment } from '../env/environment.ts';
import { stackedSource } from '../env/frame-stack.ts';
import { checkEnvironment } from '../env/open/load.ts';
import { type OpenOptions, openEnvironment } from '../env/open/open.ts';
import { checkWorks } from '../env/open/trial.ts';
import { HeedError } from '../error.ts';
import { breathe } from '../node.ts';

/**
 * An environment: a name (`CartPole-v1`), a file (`./my-env.js`), a function that makes a new environment at each call,
 * or a source of environments, which stays the caller's. The function is tried with an episode, as a file is.
 */
export type EnvironmentInput = string | (() => Environment) | EnvironmentSource;

/**
 * Opens the environment of the input and passes it to `create`, with the options for its name. Disposing of the result also
 * disposes of what was opened; a source that the caller passed is left alone.
 *
 * @param parse Parses the options for an environment of this name.
 * @throws HeedError at once when the options for a named environment are wrong, or no environment has the name.
 */
export function inEnvironment<Options extends OpenOptions, T extends Disposable>(
  env: EnvironmentInput,
  parse: (name: string) => Options,
  create: (options: Options, environment: EnvironmentSource) => T | Promise<T>,
): Promise<T> {
  if (typeof env !== 'string') {
    return within(env, sourceIn, (source) => {
      const options = parse(source.id);
      return create(options, stackedSource(source, options.frameStack ?? 1));
    });
  }
  const options = parse(env);
  checkEnvironment(env);
  return within(
    env,
    () => openEnvironment(env, options),
    (source) => create(options, source),
  );
}

function sourceIn(env: Exclude<EnvironmentInput, string>): EnvironmentSource {
  if (typeof env === 'function') {
    checkWorks(env.name || 'env', env, { drawn: false }); // without pictures a program can train all the same
    return sourceOf(env);
  }
  if (typeof env?.batch === 'function') return env;
  throw new HeedError('env: expected a name, a file, a function that makes an environment, or a source of them', {
    hint: 'write env: () => myEnvironment(), so that heed can make several of them',
  });
}

async function within<Env extends EnvironmentInput, T extends Disposable>(
  env: Env,
  open: (env: Env) => EnvironmentSource | Promise<EnvironmentSource>,
  create: (environment: EnvironmentSource) => T | Promise<T>,
): Promise<T> {
  await startFreely(); // what follows takes its time
  const environment = await open(env);
  await breathe();
  const dispose = () => {
    if (typeof env !== 'object') environment[Symbol.dispose]();
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
