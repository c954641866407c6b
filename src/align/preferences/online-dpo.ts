/**
 * Online DPO (Guo et al. 2024, "Direct Language Model Alignment from Online AI Feedback", Algorithm 1): the pairs that DPO learns are
 * answers of the policy as it stands. In each step prompts are answered twice, of two answers the better one is the
 * chosen one, and the policy makes one optimizer step on
 *
 *   L = −log σ(β (log π(y_w)/π_ref(y_w) − log π(y_l)/π_ref(y_l)))        or another loss of preferences/dpo-loss.ts
 *
 * The reference stays what it was. Where it departs from the paper: a reward compares, as well as a judge; answers that are worth the
 * same, or are the same, make no pair, and where others are then too few for the last part of a step, the first of them stand twice.
 *
 * Run it: heed online-dpo --model runs/sft/model
 */
import { basename } from 'node:path';
import { z } from 'zod';
import { opening } from '../../disposables.ts';
import { exportOptimizer, importOptimizer } from '../../nn/index.ts';
import { choiceOf } from '../../registry.ts';
import { listOf } from '../examples/examples.ts';
import { type JudgeSource, judgeCallSchema, openJudge } from '../judges/judge.ts';
import { judgedReward } from '../judges/judged-reward.ts';
import type { PolicyAlgorithm } from '../policies/algorithm.ts';
import { createPolicyLearner, type PolicyLearner } from '../policies/learner.ts';
import { policyTrainingSchema } from '../policies/options.ts';
import type { AnswerLayout, LanguageRollout } from '../policies/rollouts.ts';
import type { ScoreScaleState } from '../policies/score-scale.ts';
import { createScoreScale, scoreSchema } from '../policies/score-scale.ts';
import { type PolicyInput, type PolicyTraining, policyTraining, setUpPolicy } from '../policies/setup.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import { learnerOf, type Opener } from '../training/input.ts';
import type { LanguagePolicy } from '../training/policy.ts';
import { adamw } from '../training/steps.ts';
import { dpoLoss, pairLosses } from './dpo-loss.ts';
import { mean, metricsOf } from './evaluation.ts';
import { createPreferenceTrainer } from './trainer.ts';

const whole = (least: number) => z.number().int().min(least);

export const onlineDpoSchema = policyTrainingSchema
  .extend({
    batch: policyTrainingSchema.shape.batch.unwrap().default(32).describe('prompts answered in a step, twice each'),
    judge: z
      .string()
      .optional()
      .describe('who compares in place of --reward: a chat model, or one at an address, https://…/v1#MODEL'),
    judgeCall: judgeCallSchema.prefault({}),
    part: whole(1).default(16).describe('pairs computed at once: fewer take less memory'),
    score: scoreSchema,
    loss: choiceOf(pairLosses).default('sigmoid').describe('loss of a pair, see docs/reference/dpo.md'),
    beta: z.number().positive().default(0.1).describe('how firmly the reference holds the policy'),
    labelSmoothing: z.number().min(0).lt(0.5).default(0).describe('share of the choices taken to be wrong'),
  })
  .refine(({ loss, labelSmoothing }) => labelSmoothing > 0 || loss !== 'exo_pair', {
    path: ['labelSmoothing'],
    message: 'expected more than 0 with exo_pair',
  })
  .refine(({ judge, subjectTo }) => judge === undefined || subjectTo === undefined, {
    path: ['subjectTo'],
    message: 'expected none with --judge, which tells of no other rewards',
  })
  .refine(({ judge, askPeople }) => judge === undefined || !askPeople, {
    path: ['askPeople'],
    message: 'expected a reward model to teach, not a judge',
  });
/** The options of `onlineDpo`, with their defaults. */
export type OnlineDpoOptions = z.output<typeof onlineDpoSchema>;
/** The input of `onlineDpo`. */
export type OnlineDpoInput = Omit<PolicyInput<z.input<typeof onlineDpoSchema>>, 'judge'> & {
  /** Who compares, in place of a reward: by name, an object, a function, or a chat model. */
  judge?: string | JudgeSource;
};

/** Answers to a prompt. */
const ANSWERS = 2;

/** Learns from rollouts with two answers to each prompt. */
export function createOnlineDpoAlgorithm(
  policy: LanguagePolicy,
  { lengths, padding }: AnswerLayout,
  options: OnlineDpoOptions,
): PolicyAlgorithm {
  const { loss: name, beta, labelSmoothing } = options;
  const part = Math.min(options.part, options.batch);
  const loss = dpoLoss({
    ...{ losses: [name], beta, labelSmoothing },
    ...{ divergence: 'reverse_kl', alpha: 0.5, temperature: 0.05, weighting: false },
  });
  const trainer = createPreferenceTrainer(
    policy,
    loss,
    { lengths, padding, wholeTexts: false, tailWeight: 1 },
    { sides: ANSWERS, part, checkpointLayers: options.checkpointLayers, temperature: options.temperature },
  );
  const optimizer = adamw(policy.parameters, trainer.gradients, options);
  const scale = createScoreScale(options.score);
  return {
    update(rollout, rate) {
      const { answers, scores, referenceLogProbs } = rollout;
      // an answer that is written twice says nothing, however it is scored
      const pairs = pairsOf(scale(scores, answers)).filter(
        ([better, worse]) => answers[better].response.join() !== answers[worse].response.join(),
      );
      const told = { 'reward/equal_pairs': 1 - (ANSWERS * pairs.length) / answers.length };
      if (pairs.length === 0) return told;
      const filled = Array.from({ length: part * Math.ceil(pairs.length / part) }, (_, i) => pairs[i % pairs.length]);
      const [chosen, rejected] = [0, 1].map((side) => filled.map((pair) => pair[side]));
      const sides = [chosen, rejected].map((side) => listOf(side.map((i) => exampleOf(rollout, i))));
      const indices = [...filled.keys()];
      const reference = Float32Array.from([...chosen, ...rejected], (i) =>
        referenceLogProbs[i].reduce((sum, logP) => sum + logP, 0),
      );
      const values = trainer.run({ sides }, indices, { reference, kl: 0, seen: { sum: 0, count: 0 } });
      return {
        'loss/policy': values.loss,
        'gradient/norm': optimizer.step(rate),
        ...metricsOf({ sides }, indices, values),
        'reward/margin': mean(pairs.map(([better, worse]) => scores[better] - scores[worse])),
        ...told,
      };
    },
    save: () => ({ state: scale.save(), tensors: exportOptimizer(optimizer) }),
    restore({ state, tensors }) {
      scale.restore(state as ScoreScaleState);
      importOptimizer(optimizer, tensors);
    },
    [Symbol.dispose]() {
      for (const one of [optimizer, trainer]) one[Symbol.dispose]();
    },
  };
}

/** Of every two answers the better and the worse, but for those that are worth the same. */
export function pairsOf(scores: ArrayLike<number>): [better: number, worse: number][] {
  return Array.from({ length: scores.length / ANSWERS }, (_, i) => [ANSWERS * i, ANSWERS * i + 1])
    .filter(([first, second]) => scores[first] !== scores[second])
    .map(([first, second]) => (scores[first] > scores[second] ? [first, second] : [second, first]));
}

function exampleOf({ answers }: LanguageRollout, i: number) {
  const { prompt, response } = answers[i];
  const ids = [...prompt, ...response];
  return { ids, learn: new Uint8Array(ids.length).fill(1, prompt.length) };
}

/** A learner by online DPO: what `onlineDpo` runs. */
export const createOnlineDpo: Opener<OnlineDpoInput, PolicyLearner<OnlineDpoOptions>> = learnerOf(
  onlineDpoSchema,
  (options, live) =>
    opening(async (own) => {
      const judge =
        options.judge === undefined
          ? undefined
          : own.use(await openJudge((live.judge as JudgeSource) ?? options.judge, live.pull, options.judgeCall));
      const setup = await setUpPolicy(
        { ...options, answers: ANSWERS },
        judge ? { ...live, reward: unasked } : live,
        own,
      );
      return createPolicyLearner({
        ...setup,
        ...(judge && { reward: own.use(judgedReward(judge, setup.policy, options)) }),
        options,
        name: `${basename(options.model)}-online-dpo`,
        answersPerPrompt: ANSWERS,
        algorithm: createOnlineDpoAlgorithm(setup.policy, setup.layout, options),
        own,
      });
    }),
);

/** Where a judge compares. */
const unasked: Reward = { name: 'none', score: async (answers) => new Float64Array(answers.length) };

/**
 * Trains a policy by DPO on pairs of its own completions, in place; a reward or a judge compares them (Guo et al. 2024).
 *
 *     const { model } = await onlineDpo({ model: 'reviews-base', data: [{ prompt: 'Hello' }, …], judge: (pairs) => … });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function onlineDpo(input: OnlineDpoInput): PolicyTraining {
  return policyTraining(createOnlineDpo, input);
}
