/**
 * How good a policy is beside another: both answer the same prompts by the same draws, and a reward or a judge says which
 * answer is better.
 *
 *   win rate = (wins + ½ ties) / prompts,   also as it would be if answers were as long (Dubois et al. 2024)
 *   KL(π ‖ π_baseline) = E[log π(y) − log π_baseline(y)] over the policy's answers y
 *
 * KL and reward belong together: of two policies of the same reward, the nearer one has given up less (Gao et al. 2022).
 *
 * Run it: heed eval policy --model runs/ppo/model --baseline runs/sft/model
 */
import { basename } from 'node:path';
import { epochOrder } from '../../data/index.ts';
import { opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { templatedModel } from '../../lm/built-in-templates.ts';
import type { Message } from '../../lm/chat-template.ts';
import { createGenerator, type Generator } from '../../lm/generate.ts';
import { type PullOptions, resolveDataset } from '../../lm/hub.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { seedFor } from '../../random.ts';
import { stepsOf } from '../../run/index.ts';
import { type Judge, openJudge } from '../judges/judge.ts';
import { drawAnswers } from '../policies/draw.ts';
import { promptFingerprint, readPrompts, worldPrompts } from '../policies/prompts.ts';
import { answerLayout, createAnswerScorer, type Prompt } from '../policies/rollouts.ts';
import type { Answer, Reward } from '../reward-functions/reward-function.ts';
import { openReward } from '../rewards/open.ts';
import { firstOtherToken } from '../training/policy.ts';
import { checkSameData } from '../training/progress.ts';
import { checkAnswers, givenAnswer, isAnswersFile, readAnswers } from './answers-file.ts';
import { type ComparedPair, comparisonOf, type PolicyComparison } from './comparison.ts';
import { type PolicyEvaluationInput, type PolicyEvaluationOptions, policyEvaluationSchema } from './options.ts';

export interface PolicyEvaluationParts {
  /** In place of what the settings name; released with the evaluation. */
  model?: Model;
  baseline?: Model;
  reward?: Reward;
  judge?: Judge;
  /** How models and data are got from the Hub. */
  pull?: PullOptions;
  /** Told what a person should know: rows left out, tokens that differ. */
  tell?: (text: string) => void;
}

export interface PolicyEvaluationStep {
  /** Steps so far, of which each compared the answers to a few prompts. */
  step: number;
  pairs: readonly ComparedPair[];
  done: boolean;
}

export type PolicyEvaluator = Awaited<ReturnType<typeof create>>;

/** Throws a ZodError at once where settings are wrong; rejects with a HeedError where what they name cannot be used. */
export function createPolicyEvaluation(
  given: PolicyEvaluationInput,
  parts: PolicyEvaluationParts = {},
): Promise<PolicyEvaluator> {
  return create(policyEvaluationSchema.parse(given), parts);
}

/** All of an evaluation at once. Rejects with what `createPolicyEvaluation` throws, and with the signal's reason where it aborts. */
export async function evaluatePolicy(
  settings: PolicyEvaluationInput,
  { signal, ...parts }: PolicyEvaluationParts & { signal?: AbortSignal } = {},
): Promise<PolicyComparison> {
  const evaluator = await createPolicyEvaluation(settings, parts);
  for await (const { done } of stepsOf(evaluator, signal)) if (done) return evaluator.comparison();
  throw signal!.reason;
}

async function create(options: PolicyEvaluationOptions, parts: PolicyEvaluationParts) {
  const { onBadRow, maxTokens } = options;
  const { pull, tell } = parts;
  return opening(async (own) => {
    const file = parts.baseline === undefined && isAnswersFile(options.baseline);
    const data = options.data ?? (file ? options.baseline : undefined);
    const contestant = async (name: string, given: Model | undefined, told?: typeof tell): Promise<Contestant> => {
      const loaded = given ?? (await loadModel(name, pull));
      own.use(loaded.parameters);
      const model = templatedModel(loaded, options.chatTemplate, told);
      const all =
        data === undefined
          ? worldPrompts(model.tokenizer)
          : await readPrompts(data, model.tokenizer, { onBadRow, pull, tell: told });
      const drawn = epochOrder(all.length, options.seed, 0).subarray(0, options.prompts);
      const prompts = options.prompts === undefined ? all : Array.from(drawn, (i) => all[i]);
      answerLayout(model, prompts, { rows: 1, maxTokens }); // whether they fit
      return { model, prompts, generator: own.use(createGenerator(model.config, model.parameters.values)) };
    };
    const policy = await contestant(options.model, parts.model, tell);
    const { prompts } = policy;
    let answerOf: Answering;
    let ratios: LogRatios | undefined;
    if (file) {
      const answers = await readAnswers(await resolveDataset(options.baseline, pull), { onBadRow, tell });
      checkAnswers(options.baseline, answers, prompts);
      answerOf = async (from, to) =>
        prompts.slice(from, to).map((prompt) => givenAnswer(answers, prompt, policy.model.tokenizer));
    } else {
      const baseline = await contestant(options.baseline, parts.baseline);
      answerOf = (from, to, signal) => answered(baseline, options, from, to, signal);
      const same = firstOtherToken(policy.model, baseline.model) === undefined;
      if (same && options.temperature > 0) ratios = own.use(createLogRatios(policy, baseline.model, options));
      if (!same) tell?.('The two models read different tokens: there is no KL between them.');
    }
    const { reward, judge } = await refereesOf(options, parts, data === undefined);
    if (reward) own.use(reward);
    if (judge) own.use(judge);
    return {
      ...evaluator(options, { policy, answerOf, ratios, reward, judge }),
      [Symbol.dispose]: own[Symbol.dispose],
    };
  });
}

/** A model, and the prompts as it reads them. */
interface Contestant {
  model: Model;
  prompts: readonly Prompt[];
  generator: Generator;
}

/** The baseline's answers to some of the prompts. */
type Answering = (from: number, to: number, signal?: AbortSignal) => Promise<Answer[]>;

/** Answers drawn by the same seeds, whoever gives them. */
const answered = (
  { generator, model, prompts }: Contestant,
  { seed, maxTokens, temperature, generate }: PolicyEvaluationOptions,
  from: number,
  to: number,
  signal?: AbortSignal,
): Promise<Answer[]> =>
  drawAnswers(generator, model, prompts.slice(from, to), {
    ...{ maxTokens, temperature, batch: generate.batch, signal },
    seed: seedFor(seed, 'answers', from),
  });

/** Who says which answer is better. In the embedded world, the true reward does where nobody else is asked. */
async function refereesOf(options: PolicyEvaluationOptions, parts: PolicyEvaluationParts, inWorld: boolean) {
  const { rewardCall, judgeCall } = options;
  const named = parts.reward ?? parts.judge ?? options.reward ?? options.judge;
  if (named === undefined && !inWorld) {
    throw new HeedError('Nothing says which of two answers is better.', { hint: 'Give --reward, or --judge.' });
  }
  const text = named === undefined ? 'reviews' : options.reward;
  const reward = parts.reward ?? (text === undefined ? undefined : await openReward(text, parts.pull, rewardCall));
  try {
    const asked = parts.judge === undefined && options.judge !== undefined;
    return { reward, judge: asked ? await openJudge(options.judge!, parts.pull, judgeCall) : parts.judge };
  } catch (error) {
    reward?.[Symbol.dispose]();
    throw error;
  }
}

/** Rows computed at once. */
const ROWS = 8;

type LogRatios = ReturnType<typeof createLogRatios>;

/** log π − log π_baseline of the policy's answers, in nats, at the temperature that they were drawn at. */
function createLogRatios(
  { model, prompts }: Contestant,
  baseline: Model,
  { temperature, maxTokens }: PolicyEvaluationOptions,
) {
  const layout = answerLayout(baseline, prompts, { rows: ROWS, maxTokens });
  const [own, others] = [model, baseline].map(({ config, parameters }) =>
    createAnswerScorer(config, parameters.values, layout, { temperature }),
  );
  const sum = (logProbs: Float32Array) => logProbs.reduce((a, b) => a + b, 0);
  return {
    run(answers: readonly Answer[]): number[] {
      const theirs = others.run(answers);
      return own.run(answers).map((logProbs, i) => sum(logProbs) - sum(theirs[i]));
    },
    [Symbol.dispose]() {
      own[Symbol.dispose]();
      others[Symbol.dispose]();
    },
  };
}

interface Tools {
  policy: Contestant;
  answerOf: Answering;
  ratios: LogRatios | undefined;
  reward: Reward | undefined;
  judge: Judge | undefined;
}

interface State {
  step: number;
  pairs: ComparedPair[];
  fingerprint: string;
}

function evaluator(options: PolicyEvaluationOptions, { policy, answerOf, ratios, reward, judge }: Tools) {
  const { prompts } = policy;
  const { batch } = options;
  const fingerprint = promptFingerprint(prompts);
  let state: State = { step: 0, pairs: [], fingerprint };

  /** What is said of pairs of answers, the policy's first. */
  const refereed = async (ours: readonly Answer[], theirs: readonly Answer[], signal?: AbortSignal) => {
    const rewards = await reward?.score([...ours, ...theirs], signal);
    const different = [...ours.keys()].filter((i) => ours[i].text.trim() !== theirs[i].text.trim());
    const verdicts = await judge?.compare(
      different.map((i) => ({
        prompt: ours[i].row!.prompt as string | Message[],
        answers: [ours[i].text.trim(), theirs[i].text.trim()],
      })),
      signal,
    );
    return ours.map((_, i) => {
      const worth = rewards && { policy: rewards[i], baseline: rewards[ours.length + i] };
      const verdict = verdicts?.[different.indexOf(i)];
      const byReward = worth && (1 + Math.sign(worth.policy - worth.baseline)) / 2;
      return { rewards: worth, verdict, preference: judge ? (verdict?.preference ?? 0.5) : byReward! };
    });
  };

  return {
    options,
    name: `${basename(options.model)}-eval`,
    steps: Math.ceil(prompts.length / batch),
    /** What there is to tell so far. */
    comparison: (): PolicyComparison => comparisonOf(state.pairs, options),
    /** Compares the answers to a few prompts. */
    async next(signal?: AbortSignal): Promise<PolicyEvaluationStep> {
      const [from, to] = [state.step * batch, Math.min((state.step + 1) * batch, prompts.length)];
      const ours = await answered(policy, options, from, to, signal);
      const theirs = await answerOf(from, to, signal);
      const said = await refereed(ours, theirs, signal);
      const logRatios = ratios?.run(ours);
      const pairs = ours.map(
        ({ promptText, text, row }, i): ComparedPair => ({
          prompt: promptText,
          asked: row!.prompt,
          policy: text.trim(),
          baseline: theirs[i].text.trim(),
          ...said[i],
          logRatio: logRatios?.[i],
        }),
      );
      state = { step: state.step + 1, pairs: [...state.pairs, ...pairs], fingerprint };
      return { step: state.step, pairs, done: to === prompts.length };
    },
    save: () => ({ state, tensors: {} }),
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const saved = checkpoint.state as State;
      checkSameData(saved, state, 'prompts');
      state = saved;
    },
  };
}
