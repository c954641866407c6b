/**
 * Learning from the environment's own reward, by PPO, A2C, TRPO or SAC.
 *
 *     const { policy, metrics } = await rl({ env: 'CartPole-v1' });
 *     policy.act([0.01, 0, 0.02, 0]); // 0 or 1
 *
 * From the command line: heed rl --env CartPole-v1
 */
import { textsForPrograms } from '../library-words.ts';
import { inTurns } from '../node.ts';
import { checkInput } from '../options.ts';
import type { Diagnosis } from '../run/diagnosis.ts';
import { createTraining, type Training } from '../run/training.ts';
import type { LearnedStepReward } from './agent.ts';
import { type ControlPolicy, createControlPolicy } from './control-policy.ts';
import { diagnoseControl } from './diagnosis/diagnose.ts';
import { type ControlRow, rewardedFacts } from './diagnosis/measures.ts';
import { type EnvironmentInput, inEnvironment } from './environment-input.ts';
import {
  createRlLearnerInParts,
  fitToEnvironment,
  type RlLearner,
  type RlMetrics,
  type RlSettings,
  type RlStep,
  returnMetrics,
  returnOf,
  rlOptions,
} from './train.ts';

/** What `rl` takes: the settings of `heed rl`, with an environment by name, file, function or source. */
export interface RlInput extends Omit<RlSettings, 'env' | 'reward'> {
  /** What the agent acts in (default: `CartPole-v1`). */
  env?: EnvironmentInput;
  /** A learned reward to train on, such as that of `loadReward` (default: the environment's own). It stays the caller's. */
  reward?: LearnedStepReward;
  /** Stops the training after the current step. */
  signal?: AbortSignal | undefined;
}

/** What `rl` ends with. */
export interface RlResult {
  /** The trained policy. The caller disposes of it. */
  policy: ControlPolicy;
  /** How good it is, and how long training took. */
  metrics: RlMetrics;
  /** Environment steps taken. */
  steps: number;
  /** What went wrong, if anything did, and what to do about it. */
  diagnosis: Diagnosis;
}

/**
 * Learns from the environment's own reward. Await the result, or iterate over the steps: each is an update of the
 * policy, or several small ones.
 *
 * @throws HeedError that names the wrong option, when awaited or iterated.
 */
export function rl(input: RlInput = {}): Training<RlStep, RlResult> {
  return createTraining(
    async () => {
      checkInput(input);
      const { signal: _, reward, ...settings } = input;
      return recorded(await openRlLearner(settings, reward));
    },
    (training, last) => training.result(last),
    input?.signal,
  );
}

/** The learner, and the record of its steps. */
function recorded(learner: RlLearner) {
  const { options, environment } = learner;
  const began = performance.now();
  const rows: ControlRow[] = [];
  return {
    async next(): Promise<RlStep> {
      if (rows.length === 0 && options.evaluations > 0)
        rows.push({ step: 0, ...returnMetrics(await learner.evaluate()) });
      const step = await learner.next();
      rows.push({ step: step.step, ...step.metrics, ...returnMetrics(step.evaluation) });
      return step;
    },
    async result(last: RlStep | undefined): Promise<RlResult> {
      const seconds = (performance.now() - began) / 1000;
      const steps = last?.step ?? 0;
      return {
        policy: createControlPolicy(learner.policies().policy, { seed: options.seed }),
        metrics: {
          return: returnOf(last?.evaluation ?? (await learner.evaluate())),
          steps,
          seconds,
          stepsPerSecond: steps / seconds,
        },
        steps,
        diagnosis: textsForPrograms(
          diagnoseControl(rows, { ...options, ...rewardedFacts(environment, learner.standard) }),
        ),
      };
    },
    [Symbol.dispose]: () => learner[Symbol.dispose](),
  };
}

/**
 * Opens the environment that the input names, and makes a learner in it. Disposing of the learner disposes of what was
 * opened. `reward` is what it learns from, and `settings.reward` only its name.
 *
 * @throws HeedError at once where an option is wrong, or there is no environment of that name.
 */
export function openRlLearner(
  { env = 'CartPole-v1', ...settings }: Omit<RlInput, 'signal' | 'reward'> & Pick<RlSettings, 'reward'>,
  reward?: LearnedStepReward,
): Promise<RlLearner> {
  return inEnvironment(
    env,
    (name) => rlOptions({ ...settings, env: name }),
    (options, environment) =>
      inTurns(createRlLearnerInParts(fitToEnvironment(options, settings, environment), { environment, reward })),
  );
}
