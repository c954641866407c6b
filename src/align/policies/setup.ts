/** Opens what the training of a policy needs, by its options: models, reward and prompts. */

import { describeTexts } from '../../data/reviews/describe.ts';
import { trueReward } from '../../data/reviews/reward.ts';
import { goodSentences } from '../../data/reviews/sentences.ts';
import type { PreferenceRow, PromptCompletionRow, PromptRow, UnpairedPreferenceRow } from '../../data/rows.ts';
import type { Disposables } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import type { Model } from '../../lm/model.ts';
import type { Teacher } from '../../preference/teacher.ts';
import type { Training } from '../../run/training.ts';
import { diagnosePolicy } from '../diagnosis/policy.ts';
import { policyFacts } from '../diagnosis/run.ts';
import { holdOut } from '../examples/examples.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { type LearningReward, openLearningReward } from '../rewards/learning.ts';
import { openReward, openRewardOption, type RewardSource } from '../rewards/open.ts';
import { type Input, type Live, openModel, openSource, openTemplated } from '../training/input.ts';
import { createLanguagePolicy, type LanguagePolicy } from '../training/policy.ts';
import { type ModelResult, trainingOf } from '../training/verb.ts';
import { reviewPromptIn } from '../world/comparisons.ts';
import { type CompletionQueries, createAsking } from './ask-people.ts';
import { type Constraint, parseConstraints, withConstraints } from './constraints.ts';
import type { AnswerMeasures, PolicyLearner, PolicyStep } from './learner.ts';
import type { PolicyTrainingOptions } from './options.ts';
import { readProbes } from './probes.ts';
import { readPrompts, worldPrompts } from './prompts.ts';
import { type AnswerLayout, answerLayout, type EncodedPrompt } from './rollouts.ts';
import { policyMetrics } from './train.ts';

/** The input of a verb in which a policy learns from its own completions. */
export type PolicyInput<I> = Input<
  I,
  PromptRow | PromptCompletionRow | PreferenceRow | UnpairedPreferenceRow,
  RewardSource
> & {
  /** Compares the policy's completions, with `askPeople`. */
  teacher?: Teacher<Completion>;
};

/** What a verb such as `ppo` or `grpo` returns: await it for its result, or iterate it for its steps. */
export type PolicyTraining = Training<PolicyStep, ModelResult>;

/** The training of a learner that `create` opens. */
export const policyTraining = <I extends { signal?: AbortSignal }, O extends PolicyTrainingOptions>(
  create: (input: I) => Promise<PolicyLearner<O>>,
  input: I,
): PolicyTraining =>
  trainingOf(
    () => create(input),
    input.signal,
    policyMetrics,
    ({ finish, options }, rows) => ({ model: finish(), diagnosis: diagnosePolicy(rows, policyFacts(options)) }),
  );

/** What `setUpPolicy` opens for the training of a policy. */
export interface PolicySetup {
  /** The policy to train, with its reference. */
  policy: LanguagePolicy;
  /** What scores completions. */
  reward: Reward;
  /** A second reward for evaluations only. */
  gold?: Reward;
  /** Constraints on the rewards that `reward` gives as `others`. */
  constraints: readonly Constraint[];
  /** Prompts to train on. */
  prompts: readonly EncodedPrompt[];
  /** Held-out prompts for evaluations. */
  evaluationPrompts: readonly EncodedPrompt[];
  /** Leading prompts, completed at each evaluation too. */
  probes: readonly EncodedPrompt[];
  /** How completions of all these prompts are laid out in batches. */
  layout: AnswerLayout;
  /** Measures an evaluation's completions; defined for the prompts of the embedded world. */
  measure?: (answers: readonly Completion[]) => AnswerMeasures;
  /** Collects judgments from people, with `askPeople`. */
  asking?: CompletionQueries;
}

/**
 * Opens models, reward and prompts for the training of a policy.
 *
 * @param options `answers` is the number of completions of each prompt in a step, by default 1.
 * @param own Disposes of what is opened.
 * @throws HeedError when models, reward or prompts cannot be used, or do not fit together.
 */
export async function setUpPolicy(
  options: PolicyTrainingOptions & { answers?: number },
  live: Live,
  own: Disposables,
): Promise<PolicySetup> {
  const constraints = options.subjectTo === undefined ? [] : parseConstraints(options.subjectTo);
  const model = await openTemplated(options, live, own);
  const { prompts, evaluationPrompts } = await promptsOf(options, model, live);
  const probes = await probesOf(options, model, live);
  const layout = answerLayout(model, [...prompts, ...evaluationPrompts, ...probes], options);
  // with adapters, the base weights do not change, so that reward adapters can share them
  const over = live.model === undefined && options.lora.rank > 0 ? model : undefined;
  const learning = options.askPeople && options.people ? own.use(await learningReward(options, live)) : undefined;
  const objective = learning ?? (await openRewardOption('reward', options.reward, live, own, options.rewardCall, over));
  const asking =
    learning &&
    own.use(
      createAsking({
        options: { ...options, people: options.people! },
        reward: learning,
        prompts,
        teacher: live.teacher as Teacher<Completion> | undefined,
      }),
    );
  const constrained: Reward[] = [];
  for (const { name } of constraints) {
    constrained.push(own.use(await openReward(name, live.pull, options.rewardCall, over)));
  }
  const reward = constraints.length > 0 ? withConstraints(objective, constrained) : objective;
  const gold =
    options.gold === undefined ? undefined : await openRewardOption('gold', options.gold, live, own, {}, over);
  const reference =
    options.reference === undefined
      ? undefined
      : await openModel('reference', options.reference, live, own, model.config.precision);
  const policy = own.use(createLanguagePolicy(model, { lora: options.lora, reference, seed: options.seed }));
  const measure = options.data === undefined ? measureReviews : undefined;
  return { policy, reward, gold, constraints, prompts, evaluationPrompts, probes, layout, measure, asking };
}

async function learningReward(
  { reward, people, rewardCall: call, onBadRow, seed }: PolicyTrainingOptions,
  live: Live,
): Promise<LearningReward> {
  if (live.reward !== undefined) {
    throw new HeedError('reward: with askPeople, expected the folder of a reward model, got one in memory.', {
      hint: 'Save it with saveRewardModel, and pass the folder.',
    });
  }
  return openLearningReward(reward, { live, call, learning: people!, onBadRow, seed });
}

async function promptsOf(options: PolicyTrainingOptions, { tokenizer }: Model, live: Live) {
  const { data, evaluation, onBadRow, seed } = options;
  const read = async (path: 'data' | 'evaluation.data', name: string) =>
    readPrompts(await openSource(path, name, live), tokenizer, { onBadRow, onNotice: live.onNotice });
  const all = data === undefined ? worldPrompts(tokenizer) : await read('data', data);
  const few = (prompts: readonly EncodedPrompt[]) => prompts.slice(0, evaluation.count);
  if (evaluation.data !== undefined) {
    return { prompts: all, evaluationPrompts: few(await read('evaluation.data', evaluation.data)) };
  }
  // the world has few prompts with many possible completions, so that evaluations may share the training prompts
  if (data === undefined || all.length === 1) return { prompts: all, evaluationPrompts: few(all) };
  const { rest, held } = holdOut(all.length, Math.min(evaluation.share, evaluation.count / all.length), seed);
  return { prompts: rest.map((i) => all[i]), evaluationPrompts: held.map((i) => all[i]) };
}

async function probesOf({ evaluation, onBadRow }: PolicyTrainingOptions, { tokenizer }: Model, live: Live) {
  if (evaluation.probes === undefined) return [];
  const source = await openSource('evaluation.probes', evaluation.probes, live);
  return readProbes(source, tokenizer, { onBadRow, onNotice: live.onNotice });
}

/** Metrics of completions of the embedded world's prompts: their true reward, and the quality of their sentences. */
export function measureReviews(answers: readonly Completion[]): AnswerMeasures {
  const prompts = answers.map(({ promptText }) => reviewPromptIn(promptText)!);
  const words = answers.map(({ text }) => text.split(/\s+/).filter(Boolean));
  const gold = answers.map(({ ended }, i) => trueReward(prompts[i], words[i], ended).total);
  const good = prompts.flatMap((prompt, i) => goodSentences(prompt, words[i]));
  const { accepted, distinct2 } = describeTexts(words);
  const metrics = {
    'reward/true': gold.reduce((sum, total) => sum + total, 0) / answers.length,
    'text/accepted': accepted,
    'text/good': good.filter(Boolean).length / Math.max(1, good.length),
    'text/distinct2': distinct2,
  };
  return { metrics, gold };
}
