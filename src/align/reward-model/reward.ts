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
 * is that of held-out answers, not of demonstrations. docs/reward.md has the settings and results.
 *
 * Run it: heed reward --model runs/sft/model --data comparisons.jsonl
 */
import { basename, join } from 'node:path';
import { templatedModel } from '../../lm/built-in-templates.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { exportOptimizer, exportParameters, importOptimizer, importParameters } from '../../nn/index.ts';
import { seedFor } from '../../random.ts';
import { stepsOf } from '../../run/index.ts';
import { checkSameData } from '../training/progress.ts';
import { adamw, evaluationIsDue, itemsOfStep, rates, sizeOf } from '../training/steps.ts';
import { adapterBeside } from '../training/trainable.ts';
import { evaluateReward, judgedPairs, type RewardEvaluation } from './evaluation.ts';
import { createRankingTrainer, roomFor } from './loss.ts';
import { calibrate, createRewardModel, createRewardScorer, plainCalibration, type RewardModel } from './model.ts';
import { type RewardInput, type RewardOptions, rewardSchema } from './options.ts';
import { rankingsFingerprint } from './rankings.ts';
import { type Chosen, type ReadingParts, type RewardData, readRewardData } from './read-rankings.ts';
import { trainedReward } from './trainable.ts';

/** Rewards of so many answers are what the others are normalized by. */
const MOST_REFERENCES = 1000;

export interface RewardParts extends ReadingParts {
  /** The model, in place of loading `model`; it is used up. Those of an ensemble are loaded all the same. */
  model?: Model;
}

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

export type RewardLearner = Awaited<ReturnType<typeof create>>;

/**
 * A learner of a reward model. Throws a ZodError at once where settings are wrong; rejects with a HeedError where the model or the
 * data cannot be used.
 */
export function createReward(given: RewardInput, parts: RewardParts = {}): Promise<RewardLearner> {
  return create(rewardSchema.parse(given), parts);
}

/** Trains a reward model, one optimizer step at a time, until the steps are done or `signal` aborts. */
export async function* reward(
  given: RewardInput,
  parts: RewardParts & { signal?: AbortSignal } = {},
): AsyncGenerator<RewardStep, void, undefined> {
  yield* stepsOf(await createReward(given, parts), parts.signal);
}

async function create(options: RewardOptions, parts: RewardParts) {
  const { seed } = options;
  const loaded = parts.model ?? (await loadModel(options.model, parts.pull));
  const models: RewardModel[] = [];
  let data: RewardData;
  try {
    const first = templatedModel(loaded, options.chatTemplate, parts.tell);
    data = await readRewardData(options, first, parts);
    for (let i = 1; i < options.members; i++) {
      const other = { ...(await loadModel(options.model, parts.pull)), tokenizer: first.tokenizer };
      models.push(createRewardModel(other, seedFor(seed, 'member', i)));
    }
    models.unshift(createRewardModel(first, seedFor(seed, 'member', 0)));
  } catch (error) {
    for (const { parameters } of [loaded, ...models]) parameters[Symbol.dispose]();
    throw error;
  }
  return createRewardLearner(options, models, data);
}

interface RewardState {
  step: number;
  tokens: number;
  best: number;
  fingerprint: string;
}

function createRewardLearner(options: RewardOptions, models: readonly RewardModel[], { train, heldOut }: RewardData) {
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
    const trained = trainedReward(model, options.lora, seedFor(seed, 'member', index));
    const { parameters, frozen, linear } = trained;
    const trainer = createRankingTrainer(model.config, parameters, shape, options, {
      checkpointLayers: options.checkpointLayers,
      frozen,
      linear,
    });
    const optimizer = adamw(parameters, trainer.gradients, options);
    return { trained, trainer, optimizer, scorer: createRewardScorer(model, trained), prefix: `member${index}.` };
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
        const calibrated = calibrationBy(scorer.run(references.map(referred.answer)));
        const own = (folder: string) => (members.length === 1 ? folder : join(folder, `member-${i}`));
        trained.save(own(folder), calibrated, { dtype: options.dtype });
        trained.saveAdapter?.(own(adapterBeside(folder)), calibrated);
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
    [Symbol.dispose](): void {
      for (const { trained, trainer, optimizer, scorer } of members) {
        for (const part of [scorer, optimizer, trainer, trained]) part[Symbol.dispose]();
      }
    },
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
