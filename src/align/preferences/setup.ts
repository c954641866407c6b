/** What a training on preferences begins with, as its settings name it: models, preferences, and what answers are worth. */
import { basename } from 'node:path';
import { opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { templatedModel } from '../../lm/built-in-templates.ts';
import type { PullOptions } from '../../lm/hub.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import { openReward } from '../rewards/open.ts';
import { createPolicy } from '../training/policy.ts';
import { readPreferences } from './data.ts';
import { createPreferenceLearner, type PreferenceAlgorithm, type PreferenceLearner } from './learner.ts';
import { readsOf } from './loss.ts';
import type { PreferenceOptions } from './options.ts';

export interface PreferenceParts {
  /** The model, in place of loading `model`; it is trained in place and released with the learner. */
  model?: Model;
  /** In place of opening `reward`; released with the learner. */
  reward?: Reward;
  /** How models and data are got from the Hub. */
  pull?: PullOptions;
  /** Told what a person should know of the data: rows left out. */
  tell?: (text: string) => void;
}

/** A learner of pairs, or of answers that are rated each on their own. Rejects with a HeedError where what it needs cannot be used. */
export async function createPreferences<O extends PreferenceOptions>(
  command: string,
  options: O,
  parts: PreferenceParts,
  algorithm: PreferenceAlgorithm & { paired: boolean },
): Promise<PreferenceLearner<O>> {
  return opening(async (own) => {
    const loaded = parts.model ?? (await loadModel(options.model, parts.pull));
    own.use(loaded.parameters);
    const model = templatedModel(loaded, options.chatTemplate, parts.tell);
    const spec = options.reward ?? (options.data === undefined ? 'reviews' : undefined);
    // beside adapters, weights stay as they were loaded
    const over = parts.model === undefined && options.lora.rank > 0 ? model : undefined;
    const reward = parts.reward ?? (spec === undefined ? undefined : await openReward(spec, parts.pull, {}, over));
    if (reward) own.use(reward);
    const data = await readPreferences(options, model, { paired: algorithm.paired, ...parts });
    if (readsOf(algorithm.loss).has('kl') && !data.train.partners) {
      throw new HeedError('All answers are to one prompt: there is no answer to another, to estimate the KL from.', {
        hint: 'Give answers to several prompts, or a loss without a KL (--loss apo_zero_unpaired).',
      });
    }
    const reference = options.reference === undefined ? undefined : await loadModel(options.reference, parts.pull);
    if (reference) own.use(reference.parameters);
    return createPreferenceLearner({
      policy: createPolicy(model, { lora: options.lora, reference, seed: options.seed }),
      options,
      name: `${basename(options.model)}-${command}`,
      algorithm,
      data,
      reward,
    });
  });
}
