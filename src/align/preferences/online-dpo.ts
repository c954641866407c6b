/**
 * Online DPO (Guo et al. 2024, "Direct Language Model Alignment from Online AI Feedback", Algorithm 1): DPO on pairs
 * that the current policy writes. Each step completes prompts twice, the better completion becomes the chosen one, and
 * the policy takes one optimizer step on
 *
 *   L = −log σ(β (log π(y_w)/π_ref(y_w) − log π(y_l)/π_ref(y_l)))        or another loss of preferences/dpo-loss.ts
 *
 * The reference does not change. Departures from the paper: the comparison is by a reward or by a judge; completions
 * that are equal, or have equal rewards, make no pair; in an environment, the completions are episodes; if the last part of a step then has too few pairs, the first
 * ones fill it up.
 *
 * Run it: heed online-dpo --model runs/sft/model
 */

import type { z } from 'zod';
import { opening } from '../../disposables.ts';
import { exportOptimizer, importOptimizer } from '../../nn/optimizer.ts';
import { basename } from '../../node.ts';
import { numberFrom, optionalText, positive, wholeNumber } from '../../options.ts';
import { choiceOf } from '../../registry.ts';
import { mean } from '../../run/intervals.ts';
import { listOf } from '../examples/examples.ts';
import { type JudgeSource, judgeCallSchema, openJudge } from '../judges/judge.ts';
import { judgedReward } from '../judges/judged-reward.ts';
import type { PolicyAlgorithm } from '../policies/algorithm.ts';
import { fitsBackend } from '../policies/backend.ts';
import type { CompletionLayout } from '../policies/completion-batches.ts';
import { refuseAgents } from '../policies/episodes.ts';
import { createPolicyLearner, type PolicyLearner } from '../policies/learner.ts';
import { environmentOptions, policyTrainingSchema } from '../policies/options.ts';
import { type AnyPolicy, isRemote, localPolicy } from '../policies/remote-policy.ts';
import type { ScoreScaleState } from '../policies/score-scale.ts';
import { createScoreScale, scoreSchema } from '../policies/score-scale.ts';
import { type PolicyInput, type PolicyTraining, policyTraining, setUpPolicy } from '../policies/setup.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { type Opener, openerOf } from '../training/input.ts';
import type { LanguagePolicy } from '../training/policy.ts';
import { adamw } from '../training/steps.ts';
import type { ItemLayout } from './batch.ts';
import { dpoLoss, pairLosses } from './dpo-loss.ts';
import { metricsOf } from './evaluation.ts';
import type { PreferenceLoss } from './loss.ts';
import { createRemotePairTrainer, type PairTrainer } from './remote-pairs.ts';
import { createPreferenceTrainer } from './trainer.ts';

/** Schema of the options of `onlineDpo`: types, ranges, defaults and help texts. */
export const onlineDpoSchema = policyTrainingSchema
  .extend(environmentOptions)
  .extend({
    batch: policyTrainingSchema.shape.batch.unwrap().default(32).describe('prompts per step, completed twice each'),
    judge: optionalText(
      'chat model that compares, in place of --reward: a folder, a GGUF file, a name on the Hub, or https://…/v1#MODEL',
    ),
    judgeCall: judgeCallSchema.prefault({}),
    part: wholeNumber(1).default(16).describe('pairs computed at once; fewer need less memory'),
    score: scoreSchema,
    loss: choiceOf(pairLosses).default('sigmoid').describe('loss of a pair; see docs/reference/dpo.md'),
    beta: positive().default(0.1).describe('β: strength of the pull toward the reference'),
    labelSmoothing: numberFrom(0).lt(0.5).default(0).describe('assumed share of wrong labels'),
  })
  .refine(({ loss, labelSmoothing }) => labelSmoothing > 0 || loss !== 'exo_pair', {
    path: ['labelSmoothing'],
    message: 'expected more than 0 with exo_pair',
  })
  .refine(({ judge, subjectTo }) => judge === undefined || subjectTo === undefined, {
    path: ['subjectTo'],
    message: 'expected none with --judge, which gives no other rewards',
  })
  .refine(({ judge, env }) => judge === undefined || env === undefined, {
    path: ['judge'],
    message:
      'expected none with --env: name a reward, such as a judge with a rubric (docs/reference/verifiable-rewards.md)',
  })
  .refine(({ judge, askPeople }) => judge === undefined || !askPeople, {
    path: ['askPeople'],
    message: 'expected --reward with a reward model, not --judge: only a reward model can learn',
  })
  .superRefine(
    fitsBackend([
      {
        path: 'judge',
        fits: (judge) => judge === undefined,
        expected: 'expected --reward in place of --judge, which needs the reference in this process, with --backend',
      },
    ]),
  );
/** The options of `onlineDpo`, with their defaults. */
export type OnlineDpoOptions = z.output<typeof onlineDpoSchema>;
/** The input of `onlineDpo`. */
export type OnlineDpoInput = Omit<PolicyInput<z.input<typeof onlineDpoSchema>>, 'judge'> & {
  /** The judge that compares, in place of a reward: a name, an object, a function, or a chat model. */
  judge?: string | JudgeSource;
};

/** Completions of a prompt. */
const COMPLETIONS = 2;

/** Online DPO on rollouts with two completions of each prompt. */
export function createOnlineDpoAlgorithm(
  policy: AnyPolicy,
  { lengths, padding }: CompletionLayout,
  options: OnlineDpoOptions,
): PolicyAlgorithm {
  const { loss: name, beta, labelSmoothing } = options;
  const part = Math.min(options.part, options.batch);
  const loss = dpoLoss({
    losses: [name],
    beta,
    labelSmoothing,
    divergence: 'reverse_kl',
    alpha: 0.5,
    temperature: 0.05,
    weighting: false,
  });
  const trainer = isRemote(policy)
    ? createRemotePairTrainer(policy, loss, part)
    : createPairTrainer(policy, loss, { lengths, padding, wholeTexts: false, tailWeight: 1 }, { ...options, part });
  const scale = createScoreScale(options.score);
  return {
    async update(rollout, rate) {
      const { completions, scores, referenceLogProbs } = rollout;
      // equal completions carry no information, whatever their scores
      const pairs = pairsOf(scale(scores, completions)).filter(
        ([better, worse]) => completions[better].response.join() !== completions[worse].response.join(),
      );
      const metrics = { 'reward/equal_pairs': 1 - (COMPLETIONS * pairs.length) / completions.length };
      if (pairs.length === 0) return metrics;
      const filled = Array.from({ length: part * Math.ceil(pairs.length / part) }, (_, i) => pairs[i % pairs.length]);
      const places = [0, 1].flatMap((side) => filled.map((pair) => pair[side]));
      const reference = Float32Array.from(places, (i) => referenceLogProbs[i].reduce((sum, logP) => sum + logP, 0));
      const values = await trainer.step(
        places.map((i) => completions[i]),
        reference,
        rate,
      );
      return {
        'loss/policy': values.loss,
        'gradient/norm': values.norm,
        ...metricsOf({}, [...filled.keys()], values),
        'reward/margin': mean(pairs.map(([better, worse]) => scores[better] - scores[worse])),
        ...metrics,
      };
    },
    save: () => ({ state: scale.save(), tensors: trainer.save() }),
    restore({ state, tensors }) {
      scale.restore(state as ScoreScaleState);
      trainer.restore(tensors);
    },
    [Symbol.dispose]: trainer[Symbol.dispose],
  };
}

/** A trainer of a loss of pairs for a policy in this process. */
function createPairTrainer(
  policy: LanguagePolicy,
  loss: PreferenceLoss,
  layout: ItemLayout,
  options: OnlineDpoOptions,
): PairTrainer {
  const { part, checkpointLayers, temperature } = options;
  const trainer = createPreferenceTrainer(policy, loss, layout, {
    sides: COMPLETIONS,
    part,
    checkpointLayers,
    temperature,
  });
  const optimizer = adamw(policy.parameters, trainer.gradients, options);
  return {
    async step(completions, reference, rate) {
      const count = completions.length / COMPLETIONS;
      const sides = [completions.slice(0, count), completions.slice(count)].map((side) => listOf(side.map(exampleOf)));
      const context = { reference, kl: 0, seen: { sum: 0, count: 0 } };
      const values = await trainer.run({ sides }, [...Array(count).keys()], context);
      return { ...values, norm: await optimizer.stepFreely(rate) };
    },
    save: () => exportOptimizer(optimizer),
    restore: (tensors) => importOptimizer(optimizer, tensors),
    [Symbol.dispose]() {
      for (const one of [optimizer, trainer]) one[Symbol.dispose]();
    },
  };
}

/** Indices of the better and the worse of every two completions; those of equal scores are left out. */
export function pairsOf(scores: ArrayLike<number>): [better: number, worse: number][] {
  return Array.from({ length: scores.length / COMPLETIONS }, (_, i) => [COMPLETIONS * i, COMPLETIONS * i + 1])
    .filter(([first, second]) => scores[first] !== scores[second])
    .map(([first, second]) => (scores[first] > scores[second] ? [first, second] : [second, first]));
}

function exampleOf({ prompt, response, given }: Completion) {
  const ids = [...prompt, ...response];
  const learn = new Uint8Array(ids.length).fill(1, prompt.length);
  for (let i = 0; i < (given?.length ?? 0); i++) learn[prompt.length + i] -= given![i];
  return { ids, learn };
}

/** Opens the learner that `onlineDpo` runs. */
export const createOnlineDpo: Opener<OnlineDpoInput, PolicyLearner<OnlineDpoOptions>> = openerOf(
  onlineDpoSchema,
  (options, live) =>
    opening(async (own) => {
      const judge =
        options.judge === undefined
          ? undefined
          : own.use(await openJudge((live.judge as JudgeSource) ?? options.judge, live.pull, options.judgeCall));
      const setup = await setUpPolicy(
        { ...options, completions: COMPLETIONS },
        judge ? { ...live, reward: noReward } : live,
        own,
      );
      refuseAgents(setup.environment, 'Online DPO', 'a pair is two sequences');
      return createPolicyLearner({
        ...setup,
        ...(judge && { reward: own.use(judgedReward(judge, localPolicy(setup.policy, 'A judge'), options)) }),
        options,
        name: `${basename(options.model)}-online-dpo`,
        completionsPerPrompt: COMPLETIONS,
        algorithm: createOnlineDpoAlgorithm(setup.policy, setup.layout, options),
        own,
      });
    }),
);

/** Stands in for the reward when a judge compares. */
const noReward: Reward = { name: 'none', score: async (completions) => new Float64Array(completions.length) };

/**
 * Trains a policy by DPO on pairs of its own completions, in place; a reward or a judge compares them (Guo et al.
 * 2024).
 *
 *     const data = [{ prompt: 'Hello' }, …];
 *     const { model } = await onlineDpo({ model: 'reviews-base', data, judge: (pairs) => … });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function onlineDpo(input: OnlineDpoInput): PolicyTraining {
  return policyTraining(createOnlineDpo, input);
}
