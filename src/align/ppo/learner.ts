/** A training by PPO as a whole: the policy, its critic, texts that go on being learned, and rollouts to learn from. */

import { existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { z } from 'zod';
import { Disposables, opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { createPolicyLearner, type PolicyLearner } from '../policies/learner.ts';
import {
  type PolicyInput,
  type PolicySetup,
  type PolicyTraining,
  policyTraining,
  setUpPolicy,
} from '../policies/setup.ts';
import { membersOf } from '../rewards/open.ts';
import { isModel, type Live, learnerOf, type Opener, openModel, openSource } from '../training/input.ts';
import { firstOtherToken } from '../training/policy.ts';
import { noSteps } from './advantages.ts';
import { criticNetwork } from './critic.ts';
import { type criticKinds, type PpoOptions, ppoSchema } from './options.ts';
import { createPpoAlgorithm } from './ppo.ts';
import { createPretraining } from './pretraining-loss.ts';

/** A learner by PPO, a step at a time. */
export type PpoLearner = PolicyLearner<PpoOptions>;
/** The input of `ppo`. */
export type PpoInput = PolicyInput<z.input<typeof ppoSchema>>;

/** A learner by PPO: what `ppo` runs. */
export const createPpo: Opener<PpoInput, PpoLearner> = learnerOf(ppoSchema, (options, live) =>
  opening(async (own) => {
    const setup = await setUpPolicy(options, live, own);
    if (options.score.place === 'steps' && !setup.reward.explain) throw noSteps();
    const algorithm = await algorithmOf(options, setup, live);
    return createPolicyLearner({ ...setup, options, name: `${basename(options.model)}-ppo`, algorithm, own });
  }),
);

/**
 * Trains a policy by PPO, in place, with a critic (Schulman et al. 2017; Ouyang et al. 2022).
 *
 *     const { model } = await ppo({ model: 'reviews-base', data: [{ prompt: 'Hello' }, …], reward: (completions) => … });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function ppo(input: PpoInput): PolicyTraining {
  return policyTraining(createPpo, input);
}

/** What is opened here is copied, so that it is disposed of at once; of a failure nothing is left. */
async function algorithmOf(options: PpoOptions, { policy, layout }: PolicySetup, live: Live) {
  const { data } = options.ptx;
  const opened = new Disposables();
  const pretraining =
    data === undefined ? undefined : await createPretraining(policy, options, await openSource('ptx.data', data, live));
  try {
    const kind = kindOf(options);
    const model = kind === 'own' ? await criticModel(options, policy.model, live, opened) : undefined;
    const critic = kind === 'shared' ? undefined : criticNetwork(policy, model, kind);
    return createPpoAlgorithm({ policy, critic, options, layout, pretraining });
  } catch (error) {
    pretraining?.[Symbol.dispose]();
    throw error;
  } finally {
    opened[Symbol.dispose]();
  }
}

/** Which network the critic is. @throws HeedError where it does not go with other settings. */
function kindOf({ critic, lora, score }: PpoOptions): (typeof criticKinds)[number] {
  const { model } = critic;
  const { kind = lora.rank > 0 && model === undefined ? 'adapters' : 'own' } = critic;
  if (kind === 'adapters' && lora.rank === 0) {
    throw new HeedError('The critic cannot be adapters: the policy has none.', {
      hint: 'Give --lora.rank too, or another --critic.kind.',
    });
  }
  if (kind !== 'own' && model !== undefined) {
    throw new HeedError(`A critic that is ${kind} begins as the policy, not as "${model}".`, {
      hint: 'Leave out --critic.model, or give --critic.kind own.',
    });
  }
  if (kind === 'shared' && score.place === 'after') {
    throw new HeedError('A shared critic knows no state behind the last token, where the score is to come.', {
      hint: 'Leave out --score.place after, or give another --critic.kind.',
    });
  }
  return kind;
}

/** What the critic begins as, where that is not the policy: the model that is named, or the reward model if it reads the same tokens. */
async function criticModel(
  options: PpoOptions,
  policy: Model,
  live: Live,
  own: Disposables,
): Promise<Model | undefined> {
  if (options.critic.model !== undefined) return openModel('critic.model', options.critic.model, live, own);
  const scoring = await rewardModel(options.reward, live, own);
  return scoring && firstOtherToken(policy, scoring) === undefined ? scoring : undefined;
}

/** The reward model, or the first of an ensemble, that a reward is. */
async function rewardModel(name: string, live: Live, own: Disposables): Promise<Model | undefined> {
  if (live.reward !== undefined) return [live.reward].flat().find(isModel);
  const folder = rewardModelIn(name);
  return folder === undefined ? undefined : own.use(await loadModel(folder, live.pull));
}

/** The folder of the reward model, or of the first of an ensemble, that a reward's name is of. */
function rewardModelIn(name: string): string | undefined {
  if (!statSync(name, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  const models = ['config.json', 'adapter_config.json'];
  return membersOf(name).find((folder) => models.some((config) => existsSync(join(folder, config))));
}
