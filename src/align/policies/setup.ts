/** What a policy's training begins with, as its settings name it: models, reward and prompts. */
import { describeTexts, goodSentences, trueReward } from '../../data/reviews/index.ts';
import { opening } from '../../disposables.ts';
import { templatedModel } from '../../lm/built-in-templates.ts';
import type { PullOptions } from '../../lm/hub.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import type { Teacher } from '../../preference/index.ts';
import { holdOut } from '../examples/examples.ts';
import type { Answer, Reward } from '../reward-functions/reward-function.ts';
import { openLearningReward } from '../rewards/learning.ts';
import { openReward } from '../rewards/open.ts';
import { createPolicy, type Policy } from '../training/policy.ts';
import { reviewPromptIn } from '../world/comparisons.ts';
import { type Asking, createAsking } from './ask-people.ts';
import { type Constraint, parseConstraints, withConstraints } from './constraints.ts';
import type { PolicyTrainingOptions } from './options.ts';
import { readProbes } from './probes.ts';
import { readPrompts, worldPrompts } from './prompts.ts';
import { type AnswerLayout, answerLayout, type Prompt } from './rollouts.ts';

export interface PolicyParts {
  /** The model, in place of loading `model`; it is trained in place and released with the learner. */
  model?: Model;
  /** In place of opening `reward`; released with the learner. */
  reward?: Reward;
  /** In place of opening `gold`; released with the learner. */
  gold?: Reward;
  /** Who compares the policy's answers, where `askPeople` is set. */
  teacher?: Teacher<Answer>;
  /** How models and data are got from the Hub. */
  pull?: PullOptions;
  /** Told what a person should know of the data: rows left out. */
  tell?: (text: string) => void;
}

export interface PolicySetup {
  policy: Policy;
  reward: Reward;
  gold?: Reward;
  /** What is to hold of the rewards that `reward` tells as others. */
  constraints: readonly Constraint[];
  prompts: readonly Prompt[];
  evaluationPrompts: readonly Prompt[];
  /** Prompts that try to lead astray. */
  probes: readonly Prompt[];
  layout: AnswerLayout;
  measure?: (answers: readonly Answer[]) => Record<string, number>;
  /** Where somebody compares the policy's answers. */
  asking?: Asking;
}

/**
 * For so many `answers` to each prompt, one where absent. Rejects with a HeedError where models, reward or prompts cannot be
 * used, or do not fit together.
 */
export async function setUpPolicy(
  options: PolicyTrainingOptions & { answers?: number },
  parts: PolicyParts,
): Promise<PolicySetup> {
  const constraints = options.subjectTo === undefined ? [] : parseConstraints(options.subjectTo);
  return opening(async (own) => {
    const loaded = parts.model ?? (await loadModel(options.model, parts.pull));
    own.use(loaded.parameters);
    const model = templatedModel(loaded, options.chatTemplate, parts.tell);
    const { prompts, evaluationPrompts } = await promptsOf(options, model, parts);
    const probes = await probesOf(options, model, parts);
    const layout = answerLayout(model, [...prompts, ...evaluationPrompts, ...probes], options);
    // beside adapters, weights stay as they were loaded
    const over = parts.model === undefined && options.lora.rank > 0 ? model : undefined;
    const open = async (text: string) => own.use(await openReward(text, parts.pull, options.rewardCall, over));
    const learning = options.askPeople && options.people ? own.use(await learningReward(options, parts)) : undefined;
    const objective = learning ?? (parts.reward ? own.use(parts.reward) : await open(options.reward));
    const asking =
      learning &&
      createAsking({
        options: { ...options, people: options.people! },
        reward: learning,
        prompts,
        teacher: parts.teacher,
      });
    if (asking) own.use(asking);
    const constrained: Reward[] = [];
    for (const { name } of constraints) constrained.push(await open(name));
    const reward = constraints.length > 0 ? withConstraints(objective, constrained) : objective;
    const gold =
      parts.gold ?? (options.gold === undefined ? undefined : await openReward(options.gold, parts.pull, {}, over));
    if (gold) own.use(gold);
    const reference = options.reference === undefined ? undefined : await loadModel(options.reference, parts.pull);
    if (reference) own.use(reference.parameters);
    const policy = createPolicy(model, { lora: options.lora, reference, seed: options.seed });
    const measure = options.data === undefined ? measureReviews : undefined;
    return { policy, reward, gold, constraints, prompts, evaluationPrompts, probes, layout, measure, asking };
  });
}

const learningReward = (
  { reward, people, rewardCall: call, onBadRow, seed }: PolicyTrainingOptions,
  { pull, tell }: PolicyParts,
) => openLearningReward(reward, { pull, tell, call, learning: people!, onBadRow, seed });

async function promptsOf(options: PolicyTrainingOptions, { tokenizer }: Model, { pull, tell }: PolicyParts) {
  const { data, evaluation, onBadRow, seed } = options;
  const read = (from: string) => readPrompts(from, tokenizer, { onBadRow, pull, tell });
  const all = data === undefined ? worldPrompts(tokenizer) : await read(data);
  const few = (prompts: readonly Prompt[]) => prompts.slice(0, evaluation.count);
  if (evaluation.data !== undefined) return { prompts: all, evaluationPrompts: few(await read(evaluation.data)) };
  // the world has few prompts and many answers to each: what an evaluation draws was not learned from
  if (data === undefined || all.length === 1) return { prompts: all, evaluationPrompts: few(all) };
  const { kept, held } = holdOut(all.length, Math.min(evaluation.share, evaluation.count / all.length), seed);
  return { prompts: kept.map((i) => all[i]), evaluationPrompts: held.map((i) => all[i]) };
}

const probesOf = async ({ evaluation, onBadRow }: PolicyTrainingOptions, model: Model, parts: PolicyParts) =>
  evaluation.probes === undefined ? [] : readProbes(evaluation.probes, model.tokenizer, { onBadRow, ...parts });

/** What answers to the world's prompts are worth by the true reward, and how good and how well formed their sentences are. */
export function measureReviews(answers: readonly Answer[]): Record<string, number> {
  const asked = answers.map(({ promptText }) => reviewPromptIn(promptText)!);
  const words = answers.map(({ text }) => text.split(/\s+/).filter(Boolean));
  const total = answers.reduce((sum, { ended }, i) => sum + trueReward(asked[i], words[i], ended).total, 0);
  const good = asked.flatMap((prompt, i) => goodSentences(prompt, words[i]));
  const { accepted, distinct2 } = describeTexts(words);
  return {
    'reward/true': total / answers.length,
    'text/accepted': accepted,
    'text/good': good.filter(Boolean).length / Math.max(1, good.length),
    'text/distinct2': distinct2,
  };
}
