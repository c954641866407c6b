/** What a training on preferences begins with, as its input names it: models, preferences, and a reward for evaluations. */
import { basename } from 'node:path';
import type { PreferenceRow, UnpairedPreferenceRow } from '../../data/index.ts';
import { opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import type { Training } from '../../run/index.ts';
import { openRewardOption, type RewardSource } from '../rewards/open.ts';
import { type Input, type Live, openModel } from '../training/input.ts';
import { createPolicy } from '../training/policy.ts';
import { type ModelResult, trainingOf } from '../training/verb.ts';
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

/** The input of a verb that learns pairs: its options, with a model, rows or a reward in memory where these have names. */
export type PairInput<I> = Input<I, PreferenceRow, RewardSource>;

/** The input of a verb that learns rated completions; pairs are two of them. */
export type RatedInput<I> = Input<I, UnpairedPreferenceRow | PreferenceRow, RewardSource>;

/** A learner of pairs, or of completions that are rated each on its own. Rejects with a HeedError where what it needs cannot be used. */
export async function createPreferences<O extends PreferenceOptions>(
  command: string,
  options: O,
  live: Live,
  algorithm: PreferenceAlgorithm & { paired: boolean },
): Promise<PreferenceLearner<O>> {
  return opening(async (own) => {
    const model = await openModel('model', options.model, live, own);
    const spec = options.reward ?? (options.data === undefined ? 'reviews' : undefined);
    // beside adapters, weights stay as they were loaded
    const over = live.model === undefined && options.lora.rank > 0 ? model : undefined;
    const reward = spec === undefined ? undefined : await openRewardOption('reward', spec, live, own, {}, over);
    const data = await readPreferences(options, model, algorithm.paired, live);
    if (readsOf(algorithm.loss).has('kl') && !data.train.partners) {
      throw new HeedError('All completions are to one prompt: there is none to another, to estimate the KL from.', {
        hint: 'Give completions of several prompts, or a loss without a KL (--loss apo_zero_unpaired).',
      });
    }
    const reference =
      options.reference === undefined ? undefined : await openModel('reference', options.reference, live, own);
    return createPreferenceLearner({
      policy: own.use(createPolicy(model, { lora: options.lora, reference, seed: options.seed })),
      options,
      name: `${basename(options.model)}-${command}`,
      algorithm,
      data,
      reward,
      own,
    });
  });
}

/** What a verb that learns preferences returns. */
export type PreferenceTraining = Training<PreferenceStep, ModelResult>;

/** The training of a learner that `create` makes of an input. */
export const preferenceTraining = <I extends { signal?: AbortSignal }, O extends PreferenceOptions>(
  create: (input: I) => Promise<PreferenceLearner<O>>,
  input: I,
): PreferenceTraining =>
  trainingOf(
    () => create(input),
    input.signal,
    preferenceMetrics,
    (learner) => ({ model: learner.finish() }),
  );
