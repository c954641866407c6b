/**
 * Reward models: a language model with a scalar head learns which of several answers to a prompt somebody prefers (Christiano
 * et al. 2017; Stiennon et al. 2020; Ouyang et al. 2022, InstructGPT, §3.5). The loss of rankings is in reward-loss.ts; of
 * a pair, with d the difference of the two scores,
 *
 *   L = −log σ(d − margin) + c (sum of the scores)²
 *
 * An answer is scored on the token that ends it. What is saved is normalized: over held-out answers, rewards are 0 on average and
 * deviate by 1, so that what is set against them (a KL penalty) means the same whatever the model. Where it departs from InstructGPT:
 * two epochs unless told (there one, of a far larger model that learned the second by heart), AdamW with a linear schedule, and the mean
 * is that of held-out answers, not of demonstrations. docs/reference/reward.md has the settings and results.
 *
 * Run it: heed reward --model runs/sft/model --data comparisons.jsonl
 */
import { basename, join } from 'node:path';
import type { z } from 'zod';
import type { PreferenceRow, RankingRow, RatedRow, UnpairedPreferenceRow } from '../../data/index.ts';
import { type Disposables, opening } from '../../disposables.ts';
import type { Example } from '../../lm/packing.ts';
import { exportOptimizer, exportParameters, importOptimizer, importParameters } from '../../nn/index.ts';
import { seedFor } from '../../random.ts';
import type { Training } from '../../run/index.ts';
import { type Input, type Live, learnerOf, type Opener, openModel } from '../training/input.ts';
import { checkSameData } from '../training/progress.ts';
import { adamw, evaluationIsDue, itemsOfStep, rates, sizeOf } from '../training/steps.ts';
import { stepMetrics } from '../training/train-model.ts';
import { adapterBeside } from '../training/trainable.ts';
import { type TrainingResult, trainingOf } from '../training/verb.ts';
import { evaluateReward, judgedPairs, type RewardEvaluation } from './evaluation.ts';
import { createRankingTrainer, roomFor } from './loss.ts';
import {
  type Beginning,
  beginRewardModel,
  calibrate,
  createRewardScorer,
  finishRewardModel,
  plainCalibration,
  type RewardModel,
} from './model.ts';
import { type RewardOptions, rewardSchema } from './options.ts';
import { rankingsFingerprint } from './rankings.ts';
import { type Chosen, type RewardData, readRewardData } from './read-rankings.ts';
import { trainedReward } from './trainable.ts';

/** Rewards of so many answers are what the others are normalized by. */
const MOST_REFERENCES = 1000;

/** Of the model as it stands, on held-out comparisons. */
export interface RewardStepEvaluation extends RewardEvaluation {
  /** Deviation of the members' rewards of an answer, on average; 0 without an ensemble. */
  disagreement: number;
  /** Of all evaluations after a step, this one has the lowest loss. */
  best: boolean;
}

export interface RewardStep {
  /** Optimizer steps so far. */
  step: number;
  /** Of the batch, the mean over members. */
  loss: number;
  /** Share of the batch's pairs of which the chosen answer had the higher score. */
  accuracy: number;
  gradientNorm: number;
  learningRate: number;
  /** Tokens seen so far, by each member. */
  tokens: number;
  evaluation?: RewardStepEvaluation;
  done: boolean;
}

/** A learner of a reward model or of an ensemble, a step at a time. */
export type RewardLearner = Awaited<ReturnType<typeof create>>;

/** The input of `reward`. */
export type RewardInput = Input<
  z.input<typeof rewardSchema>,
  PreferenceRow | RankingRow | RatedRow | UnpairedPreferenceRow
>;

/** A learner of a reward model: what `reward` runs. */
export const createReward: Opener<RewardInput, RewardLearner> = learnerOf(rewardSchema, create);

/** What `reward` ends with. The models are the caller's to dispose of. */
export interface RewardResult extends TrainingResult {
  /** The reward model; of an ensemble, its first member. It is a reward for `ppo`, `grpo` and others. */
  model: RewardModel;
  /** Every member of the ensemble: as an array, they are a reward too. */
  members: RewardModel[];
}

/**
 * Trains a reward model on comparisons, rankings or ratings of completions (Ouyang et al. 2022, §3.5).
 *
 *     const { model } = await reward({ model: 'reviews-base', data: [{ prompt, chosen, rejected }, …] });
 *     await ppo({ model: policy, data: prompts, reward: model });
 *
 * A language model that is passed is copied, and stays as it was; a reward model is trained in place. Rejects with a HeedError
 * that names the option or the row that is wrong.
 */
export function reward(input: RewardInput): Training<RewardStep, RewardResult> {
  return trainingOf(
    () => createReward(input),
    input.signal,
    rewardMetrics,
    (learner) => {
      const members = learner.finish();
      return { model: members[0], members };
    },
  );
}

/** The metrics of a step and of its evaluation, by their names. */
export const rewardMetrics = (step: RewardStep): Record<string, number> => ({
  ...stepMetrics(step),
  ...(step.evaluation && rewardEvaluationMetrics(step.evaluation)),
});

/** The metrics of an evaluation, by their names; an ensemble's disagreement where its members differ. */
export const rewardEvaluationMetrics = (
  { accuracy, loss, ece, margin, longerWins, disagreement }: RewardStepEvaluation,
  ensemble = disagreement > 0,
): Record<string, number> => ({
  'loss/eval': loss,
  'accuracy/eval': accuracy,
  ece,
  'margin/mean': margin.mean,
  longer_wins: longerWins,
  ...(ensemble && { disagreement }),
});

function create(options: RewardOptions, live: Live) {
  return opening(async (own) => {
    const open = () => openModel('model', options.model, live, own);
    const lent = live.model !== undefined;
    const first = await open();
    const data = await readRewardData(options, first, live);
    const begun: Beginning[] = [];
    for (let i = 0; i < options.members; i++) {
      const model = i === 0 ? first : await open();
      begun.push(beginRewardModel(model, seedFor(options.seed, 'member', i), own, lent, i > 0));
    }
    return createRewardLearner(options, begun, data, own);
  });
}

interface RewardState {
  step: number;
  tokens: number;
  best: number;
  fingerprint: string;
}

function createRewardLearner(
  options: RewardOptions,
  begun: readonly Beginning[],
  { train, heldOut }: RewardData,
  own: Disposables,
) {
  const models = begun.map(({ model }) => model);
  const { seed, batch: part, accumulate, epochs } = options;
  const { rankings, lists } = train;
  const batch = Math.min(part * accumulate, lists.length);
  const steps = Math.max(1, Math.round((lists.length * epochs) / batch));
  const most = Math.max(...lists.map((list) => rankings.lists[list].levels.length));
  const shape = {
    length: roomFor(rankings.answers.lengths.reduce((a, b) => Math.max(a, b), 0)),
    answers: Math.min(part, batch) * most,
    padding: models[0].tokenizer.pad ?? 0,
  };
  const members = models.map((model, index) => {
    const trained = own.use(trainedReward(model, options.lora, seedFor(seed, 'member', index)));
    const { parameters, frozen, linear } = trained;
    const trainer = own.use(
      createRankingTrainer(model.config, parameters, shape, options, {
        checkpointLayers: options.checkpointLayers,
        frozen,
        linear,
      }),
    );
    const optimizer = own.use(adamw(parameters, trainer.gradients, options));
    const scorer = own.use(createRewardScorer(model, trained));
    return { trained, trainer, optimizer, scorer, prefix: `member${index}.` };
  });
  const usual = 0.5 / Math.sqrt(sizeOf(members[0].trained.parameters));
  const rateOf = rates(options.learningRate ?? usual, steps, options);
  const fingerprint = rankingsFingerprint(rankings, lists);
  let state: RewardState = { step: 0, tokens: 0, best: Number.POSITIVE_INFINITY, fingerprint };

  /** What a member sees in a step; each in an order of its own. */
  const batchOf = (member: number, step: number) =>
    itemsOfStep(step, batch, lists.length, seedFor(seed, 'order', member)).map((i) => rankings.ranking(lists[i]));

  const { rankings: referred } = heldOut ?? train;
  const references = answersOf(heldOut ?? train).slice(0, MOST_REFERENCES);
  const calibrationBy = (scores: ArrayLike<number>) =>
    options.normalize ? calibrate(scores) : { gain: 1, calibration: plainCalibration };
  const calibrationOf = ({ run }: { run(answers: readonly Example[]): Float32Array }) =>
    calibrationBy(run(references.map(referred.answer)));

  /** Of the model as it stands; it counts for no best. Undefined where nothing is held out. */
  function evaluate(): RewardStepEvaluation | undefined {
    if (!heldOut) return undefined;
    const answers = answersOf(heldOut);
    const scores = members.map(({ scorer }) => scorer.run(answers.map(heldOut.rankings.answer)));
    const calibrations = scores.map((of) => calibrationBy(of.subarray(0, references.length)));
    const rewards = new Float32Array(heldOut.rankings.lengths.length);
    let disagreement = 0;
    for (const [i, answer] of answers.entries()) {
      const each = scores.map((of, k) => of[i] * calibrations[k].gain + calibrations[k].calibration.shift);
      const mean = each.reduce((sum, value) => sum + value, 0) / each.length;
      rewards[answer] = mean;
      const variance = each.reduce((sum, value) => sum + (value - mean) ** 2, 0) / each.length;
      disagreement += Math.sqrt(variance) / answers.length;
    }
    const scale = calibrations.reduce((sum, { calibration }) => sum + calibration.scale, 0) / calibrations.length;
    const pairs = judgedPairs(heldOut.rankings, heldOut.lists, rewards);
    return { ...evaluateReward(pairs, scale), disagreement, best: false };
  }

  return {
    options,
    name: `${basename(options.model)}-reward`,
    /** What each member trains. */
    members: members.map(({ trained }) => trained),
    steps,
    evaluate,
    /** Writes the model, or each member into a folder of its own, with what makes rewards of its scores; adapters in `adapter` beside too. */
    saveModels(folder: string): void {
      for (const [i, { trained, scorer }] of members.entries()) {
        const calibrated = calibrationOf(scorer);
        const place = (folder: string) => (members.length === 1 ? folder : join(folder, `member-${i}`));
        trained.save(place(folder), calibrated, { dtype: options.dtype });
        trained.saveAdapter?.(place(adapterBeside(folder)), calibrated);
      }
    },
    /** One optimizer step of each member, and an evaluation where one is due. */
    async next(): Promise<RewardStep> {
      const rate = rateOf(state.step);
      let [loss, accuracy, gradientNorm, tokens] = [0, 0, 0, 0];
      for (const [index, { trainer, optimizer }] of members.entries()) {
        const seen = batchOf(index, state.step);
        const done = trainer.run(seen, part);
        gradientNorm += optimizer.step(rate) / members.length;
        loss += done.loss / members.length;
        accuracy += accuracyOf(seen, done.scores) / members.length;
        tokens = done.tokens;
      }
      state = { ...state, step: state.step + 1, tokens: state.tokens + tokens };
      const evaluation = evaluationIsDue(state.step, steps, options) ? evaluate() : undefined;
      if (evaluation) {
        evaluation.best = evaluation.loss < state.best;
        if (evaluation.best) state.best = evaluation.loss;
      }
      const { step } = state;
      return {
        step,
        loss,
        accuracy,
        gradientNorm,
        learningRate: rate,
        tokens: state.tokens,
        evaluation,
        done: step >= steps,
      };
    },
    save() {
      const tensors = members.map(({ trained, optimizer, prefix }) => ({
        ...renamed(exportParameters(trained.parameters), prefix),
        ...exportOptimizer(optimizer, `${prefix}optimizer.`),
      }));
      return { state, tensors: Object.assign({}, ...tensors) as ReturnType<typeof exportParameters> };
    },
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const saved = checkpoint.state as RewardState;
      checkSameData(saved, state, 'comparisons');
      const tensors = checkpoint.tensors as Parameters<typeof importParameters>[1];
      for (const { trained, optimizer, prefix } of members) {
        const own = Object.entries(tensors).filter(([name]) => name.startsWith(prefix));
        importParameters(
          trained.parameters,
          Object.fromEntries(own.map(([name, tensor]) => [name.slice(prefix.length), tensor])),
        );
        importOptimizer(optimizer, tensors, `${prefix}optimizer.`);
      }
      state = saved;
    },
    /** The trained models, adapters merged in, whose rewards are calibrated. They are no longer disposed of with the learner. */
    finish: (): RewardModel[] =>
      members.map(({ trained, scorer }, i) => {
        const calibrated = calibrationOf(scorer);
        trained.merge();
        return finishRewardModel(begun[i], calibrated, own);
      }),
    [Symbol.dispose]: own[Symbol.dispose],
  };
}

const renamed = <T>(tensors: Record<string, T>, prefix: string): Record<string, T> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${prefix}${name}`, tensor]));

/** The answers of some rankings. */
const answersOf = ({ rankings, lists }: Chosen): number[] =>
  lists.flatMap((list) => rankings.lists[list].levels.map((_, i) => rankings.lists[list].first + i));

function accuracyOf(rankings: readonly { levels: ArrayLike<number> }[], scores: ArrayLike<number>): number {
  let [right, pairs, at] = [0, 0, 0];
  for (const { levels } of rankings) {
    for (let i = 0; i < levels.length; i++) {
      for (let j = 0; j < levels.length; j++) {
        if (levels[i] <= levels[j]) continue;
        pairs++;
        right += Number(scores[at + i] > scores[at + j]) + 0.5 * Number(scores[at + i] === scores[at + j]);
      }
    }
    at += levels.length;
  }
  return pairs === 0 ? Number.NaN : right / pairs;
}
