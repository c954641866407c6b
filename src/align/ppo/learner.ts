/** Training by PPO: opens the policy, its critic, pretraining texts (PPO-ptx) and rollouts. */
import type { z } from 'zod';
import { Disposables, opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { basename, breathe, existsSync, inTurns, join, statSync } from '../../node.ts';
import type { CompletionLayout } from '../policies/completion-batches.ts';
import { refuseAgents } from '../policies/episodes.ts';
import { createPolicyLearner, type PolicyLearner } from '../policies/learner.ts';
import { localPolicy } from '../policies/remote-policy.ts';
import { type PolicyInput, type PolicyTraining, policyTraining, setUpPolicy } from '../policies/setup.ts';
import { ensembleMembers } from '../rewards/open.ts';
import { isModel, type Live, type Opener, openerOf, openModel, openSource } from '../training/input.ts';
import { firstOtherToken, type LanguagePolicy } from '../training/policy.ts';
import { noSteps } from './advantages.ts';
import { criticNetwork } from './critic.ts';
import { type criticKinds, type LanguagePpoOptions, languagePpoSchema } from './options.ts';
import { createPpoAlgorithmInParts } from './ppo.ts';
import { createPretraining } from './pretraining-loss.ts';

/** Trains a policy by PPO, a step at a time. */
export type PpoLearner = PolicyLearner<LanguagePpoOptions>;
/** The input of `ppo`. */
export type PpoInput = PolicyInput<z.input<typeof languagePpoSchema>>;

/** Opens the learner that `ppo` runs. */
export const createLanguagePpo: Opener<PpoInput, PpoLearner> = openerOf(languagePpoSchema, (options, live) =>
  opening(async (scope) => {
    const setup = await setUpPolicy(options, live, scope);
    if (options.score.place === 'steps' && !setup.reward.explain) throw noSteps();
    if (options.score.place === 'steps' && setup.environment) {
      throw new HeedError('--score.place steps does not go together with --env: episodes have no steps to score.', {
        hint: 'Leave it out: the score then comes at the end of the episode.',
      });
    }
    refuseAgents(setup.environment, 'PPO', 'its critic needs one');
    const policy = localPolicy(setup.policy, 'PPO');
    const algorithm = await algorithmOf(options, { policy, layout: setup.layout }, live);
    await breathe();
    const name = `${basename(options.model)}-ppo`;
    return createPolicyLearner({ ...setup, options, name, algorithm, scope });
  }),
);

/**
 * Trains a policy by PPO, in place, with a critic (Schulman et al. 2017; Ouyang et al. 2022).
 *
 *     const data = [{ prompt: 'Hello' }, …];
 *     const { model } = await ppo({ model: 'reviews-base', data, reward: (completions) => … });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function ppo(input: PpoInput): PolicyTraining {
  return policyTraining(createLanguagePpo, input);
}

/** Opens the algorithm. The critic's initial model is copied, and disposed of at once. */
async function algorithmOf(
  options: LanguagePpoOptions,
  { policy, layout }: { policy: LanguagePolicy; layout: CompletionLayout },
  live: Live,
) {
  const { data } = options.ptx;
  const opened = new Disposables();
  const pretraining =
    data === undefined
      ? undefined
      : await createPretraining(policy, options, await openSource('ptx.data', data, live), live.onNotice);
  try {
    const kind = kindOf(options);
    const model = kind === 'own' ? await criticModel(options, policy.model, live, opened) : undefined;
    const critic = kind === 'shared' ? undefined : criticNetwork(policy, model, kind);
    await breathe();
    return await inTurns(createPpoAlgorithmInParts({ policy, critic, options, layout, pretraining }));
  } catch (error) {
    pretraining?.[Symbol.dispose]();
    throw error;
  } finally {
    opened[Symbol.dispose]();
  }
}

/** Which kind of network the critic is. @throws HeedError when it conflicts with other options. */
function kindOf({ critic, lora, score }: LanguagePpoOptions): (typeof criticKinds)[number] {
  const { model } = critic;
  const { kind = lora.rank > 0 && model === undefined ? 'adapters' : 'own' } = critic;
  if (kind === 'adapters' && lora.rank === 0) {
    throw new HeedError('The critic cannot be adapters: the policy has none.', {
      hint: 'Set --lora.rank too, or use another --critic.kind.',
    });
  }
  if (kind === 'own' && model === undefined && lora.baseBits) {
    throw new HeedError(
      `A critic of its own trains all its weights, which --lora.base-bits ${lora.baseBits} freezes.`,
      {
        hint: 'Set --critic.kind adapters or shared, or name a --critic.model.',
      },
    );
  }
  if (kind !== 'own' && model !== undefined) {
    throw new HeedError(`A critic of kind ${kind} starts as the policy, not as "${model}".`, {
      hint: 'Leave out --critic.model, or set --critic.kind own.',
    });
  }
  if (kind === 'shared' && score.place === 'after') {
    throw new HeedError(
      'A shared critic has no state after the last token, where --score.place after puts the score.',
      {
        hint: 'Leave out --score.place after, or use another --critic.kind.',
      },
    );
  }
  return kind;
}

/**
 * The critic's initial model: the one named, or the reward model if it has the same tokens; undefined for the policy.
 */
async function criticModel(
  options: LanguagePpoOptions,
  policy: Model,
  live: Live,
  scope: Disposables,
): Promise<Model | undefined> {
  const { precision } = policy.config;
  if (options.critic.model !== undefined)
    return openModel('critic.model', options.critic.model, live, scope, { precision });
  const scoring = await rewardModel(options.reward, live, scope);
  return scoring && firstOtherToken(policy, scoring) === undefined ? scoring : undefined;
}

/** The reward model of a reward, or the first of an ensemble; undefined for other rewards. */
async function rewardModel(name: string, live: Live, scope: Disposables): Promise<Model | undefined> {
  if (live.reward !== undefined) return [live.reward].flat().find(isModel);
  const folder = rewardModelIn(name);
  return folder === undefined ? undefined : scope.use(await loadModel(folder, live.pull));
}

/** The folder of a reward model, or of the first of an ensemble, by the reward's name. */
function rewardModelIn(name: string): string | undefined {
  if (!statSync(name, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  const models = ['config.json', 'adapter_config.json'];
  return ensembleMembers(name).find((folder) => models.some((config) => existsSync(join(folder, config))));
}
