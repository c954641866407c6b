/**
 * Learning from the environment's own reward, by PPO, A2C, TRPO or SAC.
 *
 *     const { policy, metrics } = await rl({ env: 'CartPole-v1' });
 *     policy.act([0.01, 0, 0.02, 0]); // 0 or 1
 *
 * From the command line: heed rl --env CartPole-v1
 */
import { checkEnvironment } from '../env/index.ts';
import { createTraining, type Training } from '../run/index.ts';
import { type ControlPolicy, createControlPolicy } from './control-policy.ts';
import { type EnvironmentInput, inEnvironment } from './environment-input.ts';
import {
  createRlLearner,
  type RlLearner,
  type RlMetrics,
  type RlSettings,
  type RlStep,
  returnOf,
  rlOptions,
} from './train.ts';

/** What `rl` takes: the settings of `heed rl`, with an environment that may be a value. */
export interface RlInput extends Omit<RlSettings, 'env'> {
  /** What the agent acts in (default: `CartPole-v1`). */
  env?: EnvironmentInput;
  /** Ends the training after the step under way. */
  signal?: AbortSignal;
}

/** What `rl` ends with. */
export interface RlResult {
  /** The trained policy, the caller's to dispose of. */
  policy: ControlPolicy;
  /** How good it is, and what it took. */
  metrics: RlMetrics;
}

/**
 * Learns from the environment's own reward. Awaiting it gives its result; iterating it gives its steps, each an update
 * of the policy or several small ones.
 *
 * @throws HeedError naming the option that is wrong; while it is awaited or iterated.
 */
export function rl(input: RlInput = {}): Training<RlStep, RlResult> {
  const { signal, ...settings } = input;
  let began = 0;
  return createTraining(
    () => {
      began = performance.now();
      return openRlLearner(settings);
    },
    (learner, last) => resultOf(learner, last, (performance.now() - began) / 1000),
    signal,
  );
}

/**
 * Opens the environment that the input names, and makes a learner in it. Disposing of the learner disposes of what was
 * opened.
 *
 * @throws HeedError at once where an option is wrong, or there is no environment of that name.
 */
export function openRlLearner({ env = 'CartPole-v1', ...settings }: Omit<RlInput, 'signal'>): Promise<RlLearner> {
  if (typeof env === 'string') {
    const options = rlOptions({ ...settings, env });
    checkEnvironment(env);
    return inEnvironment(env, options, (environment) => createRlLearner(options, { environment }));
  }
  return inEnvironment(env, {}, (environment) =>
    createRlLearner(rlOptions({ ...settings, env: environment.id }), { environment }),
  );
}

function resultOf(learner: RlLearner, last: RlStep | undefined, seconds: number): RlResult {
  const { options } = learner;
  const { policy } = learner.policies();
  const steps = last?.step ?? 0;
  return {
    policy: createControlPolicy(policy, { seed: options.seed }),
    metrics: {
      return: returnOf(last?.evaluation ?? learner.evaluate()),
      steps,
      seconds,
      stepsPerSecond: steps / seconds,
    },
  };
}
