/** Opens what a training on preferences needs, by its input: models, preferences, and a reward for evaluations. */

import type { PreferenceRow, UnpairedPreferenceRow } from '../../data/rows.ts';
import { opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { basename, breathe } from '../../node.ts';
import type { Training } from '../../run/training.ts';
import { diagnosePreference } from '../diagnosis/preference.ts';
import { openRewardOption, type RewardSource } from '../rewards/open.ts';
import { checkWrites, claim, type Input, type Live, openModel, openTemplated } from '../training/input.ts';
import { createLanguagePolicy } from '../training/policy.ts';
import { type ModelResult, trainedModel, trainingOf } from '../training/verb.ts';
import { readPreferences } from './data.ts';
import {
  createPreferenceLearner,
  type PreferenceAlgorithm,
  type PreferenceLearner,
  type PreferenceStep,
} from './learner.ts';
import { readsOf } from './loss.ts';
import type { PreferenceOptions } from './options.ts';
import { preferenceMetrics } from './train.ts';

/**
 * The input of a verb that learns from pairs: options, or live values (a loaded model, rows, a reward) in place of
 * names.
 */
export type PairInput<I> = Input<I, PreferenceRow, RewardSource>;

/** The input of a verb that learns from rated completions; a pair counts as two of them. */
export type RatedInput<I> = Input<I, UnpairedPreferenceRow | PreferenceRow, RewardSource>;

/**
 * Opens models, preferences and a reward, and makes a learner of them.
 *
 * @param command The algorithm's name, for the run's name.
 * @throws HeedError when a model, the reward or the data cannot be used.
 */
export async function createPreferences<O extends PreferenceOptions>(
  command: string,
  options: O,
  live: Live,
  algorithm: PreferenceAlgorithm & { paired: boolean },
): Promise<PreferenceLearner<O>> {
  return opening(async (scope) => {
    const model = await openTemplated(options, live, scope);
    checkWrites(model, options.model);
    claim(model, scope);
    const spec = options.reward ?? (options.data === undefined ? 'reviews' : undefined);
    // with adapters, the base weights do not change, so that reward adapters can share them
    const over = live.model === undefined && options.lora.rank > 0 ? model : undefined;
    const reward = spec === undefined ? undefined : await openRewardOption('reward', spec, live, scope, {}, over);
    const data = await readPreferences(options, model, algorithm.paired, live);
    if (readsOf(algorithm.loss).has('kl') && !data.train.partners) {
      throw new HeedError(
        'All completions have the same prompt, but the KL is estimated from those of other prompts.',
        {
          hint: 'Use data with several prompts, or a loss without a KL (--loss apo_zero_unpaired).',
        },
      );
    }
    const reference =
      options.reference === undefined
        ? undefined
        : await openModel('reference', options.reference, live, scope, { precision: model.config.precision });
    await breathe(); // before what is compiled
    return createPreferenceLearner({
      policy: scope.use(createLanguagePolicy(model, { lora: options.lora, reference, seed: options.seed })),
      options,
      name: `${basename(options.model)}-${command}`,
      algorithm,
      data,
      reward,
      onNotice: live.onNotice,
      onProgress: live.onProgress,
      scope,
    });
  });
}

/** What a verb such as `dpo` or `kto` returns: await it for its result, or iterate it for its steps. */
export type PreferenceTraining = Training<PreferenceStep, ModelResult>;

/** The training of a learner that `create` opens. */
export const preferenceTraining = <I extends { signal?: AbortSignal }, O extends PreferenceOptions>(
  create: (input: I) => Promise<PreferenceLearner<O>>,
  input: I,
): PreferenceTraining =>
  trainingOf(create, input, preferenceMetrics, (learner, rows) => ({
    ...trainedModel(learner.policy, learner.finish),
    diagnosis: diagnosePreference(rows),
  }));
