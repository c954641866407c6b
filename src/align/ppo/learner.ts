/** A training by PPO as a whole: the policy, its critic, texts that go on being learned, and rollouts to learn from. */

import { existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { HeedError } from '../../error.ts';
import type { PullOptions } from '../../lm/hub.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { stepsOf } from '../../run/index.ts';
import { createPolicyLearner, type PolicyLearner, type PolicyStep } from '../policies/learner.ts';
import { type PolicyParts, type PolicySetup, setUpPolicy } from '../policies/setup.ts';
import { membersOf } from '../rewards/open.ts';
import { firstOtherToken } from '../training/policy.ts';
import { noSteps } from './advantages.ts';
import { criticNetwork } from './critic.ts';
import { type criticKinds, type PpoInput, type PpoOptions, ppoSchema } from './options.ts';
import { createPpoAlgorithm } from './ppo.ts';
import { createPretraining } from './pretraining-loss.ts';

export type PpoLearner = PolicyLearner<PpoOptions>;

export interface PpoParts extends PolicyParts {
  /** What the critic begins as, in place of loading `critic.model`; it is copied, and stays the caller's. */
  critic?: Model;
}

/**
 * A learner by PPO. Throws a ZodError at once where settings are wrong; rejects with a HeedError where models, reward or
 * data cannot be used.
 */
export function createPpo(given: PpoInput, parts: PpoParts = {}): Promise<PpoLearner> {
  return create(ppoSchema.parse(given), parts);
}

async function create(options: PpoOptions, parts: PpoParts): Promise<PpoLearner> {
  const setup = await setUpPolicy(options, parts);
  try {
    if (options.score.place === 'steps' && !setup.reward.explain) throw noSteps();
    return createPolicyLearner({
      ...setup,
      options,
      name: `${basename(options.model)}-ppo`,
      klEstimator: options.kl.estimator,
      algorithm: await algorithmOf(options, setup, parts),
    });
  } catch (error) {
    for (const part of [setup.policy, setup.reward, setup.gold]) part?.[Symbol.dispose]();
    throw error;
  }
}

async function algorithmOf(options: PpoOptions, { policy, layout }: PolicySetup, parts: PpoParts) {
  const { data } = options.ptx;
  const pretraining =
    data === undefined
      ? undefined
      : await createPretraining(policy, { ...options, ptx: { ...options.ptx, data } }, parts);
  const kind = kindOf(options, parts.critic !== undefined);
  const model = kind === 'own' ? (parts.critic ?? (await criticModel(options, policy.model, parts.pull))) : undefined;
  try {
    const critic = kind === 'shared' ? undefined : criticNetwork(policy, model, kind);
    return createPpoAlgorithm({ policy, critic, options, layout, pretraining });
  } catch (error) {
    pretraining?.[Symbol.dispose]();
    throw error;
  } finally {
    if (model !== parts.critic) model?.parameters[Symbol.dispose]();
  }
}

/** Which network the critic is. @throws HeedError where it does not go with other settings. */
function kindOf({ critic, lora, score }: PpoOptions, given: boolean): (typeof criticKinds)[number] {
  const { model } = critic;
  const { kind = lora.rank > 0 && model === undefined && !given ? 'adapters' : 'own' } = critic;
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
async function criticModel(options: PpoOptions, policy: Model, pull?: PullOptions): Promise<Model | undefined> {
  if (options.critic.model !== undefined) return loadModel(options.critic.model, pull);
  const folder = rewardModelIn(options.reward);
  if (folder === undefined) return undefined;
  const judge = await loadModel(folder, pull);
  if (firstOtherToken(policy, judge) === undefined) return judge;
  judge.parameters[Symbol.dispose]();
  return undefined;
}

/** The folder of the reward model, or of the first of an ensemble, that a reward's name is of. */
function rewardModelIn(name: string): string | undefined {
  if (!statSync(name, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  const models = ['config.json', 'adapter_config.json'];
  return membersOf(name).find((folder) => models.some((config) => existsSync(join(folder, config))));
}

/** Learns by PPO, a step at a time, until the steps are done or `signal` aborts. The model is trained in place. */
export async function* ppo(
  given: PpoInput,
  parts: PpoParts & { signal?: AbortSignal } = {},
): AsyncGenerator<PolicyStep, void, undefined> {
  yield* stepsOf(await createPpo(given, parts), parts.signal);
}
