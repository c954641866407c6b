/**
 * Process supervision: a reward model learns which steps of an answer are right, not only whether its end is (Uesato et al. 2022;
 * Lightman et al. 2023, "Let's Verify Step by Step"). Its scalar head is read on the token that ends each step, and tells the
 * log-odds s that the step is right:
 *
 *   L = −(1/K) Σ_k [y_k log σ(s_k) + (1 − y_k) log σ(−s_k)]        over the K steps of a batch
 *
 * of all steps, of those up to the first wrong one, or of the last alone, right where all are: outcome supervision, to compare with.
 * Where it departs from the papers and from TRL's PRMTrainer: one logit for right against wrong, where they have a token or a
 * class for each (the same loss, of the difference of their logits); the head alone is new, the rest begins as a fine-tuned model.
 * docs/process.md has the settings and results.
 *
 * Run it: heed process --model runs/sft/model --data steps.jsonl
 */
import { basename } from 'node:path';
import { logSigmoid, mul, neg, sum } from '../../engine/index.ts';
import { templatedModel } from '../../lm/built-in-templates.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { createPackedTrainer, type PackedLoss, scoresOf } from '../../lm/packed-program.ts';
import { exportOptimizer, exportParameters, importOptimizer, importParameters } from '../../nn/index.ts';
import { seedFor } from '../../random.ts';
import { stepsOf } from '../../run/index.ts';
import { answersBatch, roomFor } from '../reward-model/loss.ts';
import { createRewardModel, createStateScorer, plainCalibration, type RewardModel } from '../reward-model/model.ts';
import type { ReadingParts } from '../reward-model/read-rankings.ts';
import { trainedReward } from '../reward-model/trainable.ts';
import { checkSameData } from '../training/progress.ts';
import { adamw, evaluationIsDue, itemsOfStep, rates, sizeOf } from '../training/steps.ts';
import { adapterBeside } from '../training/trainable.ts';
import { type ProcessData, readProcessData, type SteppedAnswer, separatorOf, stepsFingerprint } from './data.ts';
import { evaluateSteps, type StepEvaluation } from './evaluation.ts';
import { saveStepReading } from './model.ts';
import { type ProcessInput, type ProcessOptions, processSchema } from './options.ts';

export interface ProcessParts extends ReadingParts {
  /** The model, in place of loading `model`; it is used up. */
  model?: Model;
}

/** Of the model as it stands, on held-out answers. */
export interface ProcessEvaluation extends StepEvaluation {
  /** Of all evaluations after a step, this one has the lowest loss. */
  best: boolean;
}

export interface ProcessStep {
  /** Optimizer steps so far. */
  step: number;
  /** Of the batch, in nats a step of an answer. */
  loss: number;
  /** Share of the batch's labels that were told right. */
  accuracy: number;
  gradientNorm: number;
  learningRate: number;
  /** Tokens seen so far. */
  tokens: number;
  evaluation?: ProcessEvaluation;
  done: boolean;
}

/** The loss of steps as a packed program makes it. By label: `sign`, 1 of a right step and −1 of a wrong one, and `weight`. */
export const stepLoss: PackedLoss = (reading) => {
  const scores = scoresOf(reading);
  const logP = logSigmoid(mul(reading.perLabel('sign'), scores));
  return { loss: neg(sum(mul(reading.perLabel('weight'), logP))), scores };
};

/** What of an answer is learned from. */
export function supervised(answer: SteppedAnswer, supervision: ProcessOptions['supervision']): SteppedAnswer {
  const { at, right } = answer;
  if (supervision === 'outcome') return { ...answer, at: at.slice(-1), right: [right.every(Boolean)] };
  const wrong = right.indexOf(false);
  const count = supervision === 'steps' || wrong < 0 ? right.length : wrong + 1;
  return { ...answer, at: at.slice(0, count), right: right.slice(0, count) };
}

export type ProcessLearner = Awaited<ReturnType<typeof create>>;

/**
 * A learner of a process reward model. Throws a ZodError at once where settings are wrong; rejects with a HeedError where the model
 * or the data cannot be used.
 */
export function createProcess(given: ProcessInput, parts: ProcessParts = {}): Promise<ProcessLearner> {
  return create(processSchema.parse(given), parts);
}

/** Trains a process reward model, one optimizer step at a time, until the steps are done or `signal` aborts. */
export async function* processSupervision(
  given: ProcessInput,
  parts: ProcessParts & { signal?: AbortSignal } = {},
): AsyncGenerator<ProcessStep, void, undefined> {
  yield* stepsOf(await createProcess(given, parts), parts.signal);
}

async function create(options: ProcessOptions, parts: ProcessParts) {
  const loaded = parts.model ?? (await loadModel(options.model, parts.pull));
  try {
    const model = templatedModel(loaded, options.chatTemplate, parts.tell);
    const data = await readProcessData(options, model, parts);
    return createProcessLearner(options, createRewardModel(model, seedFor(options.seed, 'head')), data);
  } catch (error) {
    loaded.parameters[Symbol.dispose]();
    throw error;
  }
}

interface ProcessState {
  step: number;
  tokens: number;
  best: number;
  fingerprint: string;
}

function createProcessLearner(options: ProcessOptions, model: RewardModel, { train: all, heldOut }: ProcessData) {
  const { seed, batch: part, accumulate, epochs, supervision } = options;
  const train = all.map((answer) => supervised(answer, supervision));
  const batch = Math.min(part * accumulate, train.length);
  const steps = Math.max(1, Math.round((train.length * epochs) / batch));
  const padding = model.tokenizer.pad ?? 0;
  const length = roomFor(train.reduce((most, { ids }) => Math.max(most, ids.length), 0));
  const trained = trainedReward(model, options.lora, seed);
  const { parameters, frozen, linear } = trained;
  const trainer = createPackedTrainer(model.config, parameters, stepLoss, {
    checkpointLayers: options.checkpointLayers,
    frozen,
    linear,
  });
  const optimizer = adamw(parameters, trainer.gradients, options);
  const scorer = createStateScorer(model, trained);
  const usual = 0.5 / Math.sqrt(sizeOf(parameters));
  const rateOf = rates(options.learningRate ?? usual, steps, options);
  let state: ProcessState = {
    step: 0,
    tokens: 0,
    best: Number.POSITIVE_INFINITY,
    fingerprint: stepsFingerprint(train),
  };

  /** Adds up the gradients of some answers, as many of `labels` in all as their batch has. */
  function learn(answers: readonly SteppedAnswer[], labels: number) {
    const laid = answersBatch(answers, padding, length);
    // labels come in the order that answers are packed in
    const next = answers.map(() => 0);
    const sign = Array.from(laid.sequences, (i) => (answers[i].right[next[i]++] ? 1 : -1));
    const outputs = trainer.run(laid, { sign, weight: sign.map(() => 1 / labels) });
    const scores = outputs.scores.data as Float32Array;
    const hits = Array.from(trainer.places(), (at, i) => Number(scores[at] * sign[i] > 0));
    return { loss: outputs.loss.data[0] as number, hits: hits.reduce((a, b) => a + b, 0), tokens: laid.tokens };
  }

  /** Of the model as it stands; it counts for no best. Undefined where nothing is held out. */
  function evaluate(): ProcessEvaluation | undefined {
    if (heldOut.length === 0) return undefined;
    return { ...evaluateSteps(heldOut, scorer.run(heldOut)), best: false };
  }

  return {
    options,
    name: `${basename(options.model)}-process`,
    model,
    parameters,
    steps,
    evaluate,
    /** Writes a folder that `openReward` opens. */
    saveModel(folder: string): void {
      const reading = { separator: separatorOf(options), aggregate: options.aggregate };
      const plain = { gain: 1, calibration: plainCalibration };
      saveStepReading(folder, reading);
      trained.save(folder, plain, { dtype: options.dtype });
      if (!trained.saveAdapter) return;
      saveStepReading(adapterBeside(folder), reading);
      trained.saveAdapter(adapterBeside(folder), plain);
    },
    /** One optimizer step, and an evaluation where one is due. */
    async next(): Promise<ProcessStep> {
      const rate = rateOf(state.step);
      const answers = itemsOfStep(state.step, batch, train.length, seed).map((i) => train[i]);
      const labels = answers.reduce((sum, { at }) => sum + at.length, 0);
      let [loss, hits, tokens] = [0, 0, state.tokens];
      trainer.reset();
      for (let i = 0; i < answers.length; i += part) {
        const done = learn(answers.slice(i, i + part), labels);
        loss += done.loss;
        hits += done.hits;
        tokens += done.tokens;
      }
      const gradientNorm = optimizer.step(rate);
      const step = state.step + 1;
      const evaluation = evaluationIsDue(step, steps, options) ? evaluate() : undefined;
      if (evaluation) evaluation.best = evaluation.loss < state.best;
      state = { ...state, step, tokens, best: evaluation?.best ? evaluation.loss : state.best };
      return {
        step,
        loss,
        accuracy: hits / labels,
        gradientNorm,
        learningRate: rate,
        tokens,
        evaluation,
        done: step >= steps,
      };
    },
    save: () => ({ state, tensors: { ...exportParameters(parameters), ...exportOptimizer(optimizer) } }),
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const saved = checkpoint.state as ProcessState;
      checkSameData(saved, state, 'answers');
      const tensors = checkpoint.tensors as Parameters<typeof importParameters>[1];
      importParameters(parameters, tensors);
      importOptimizer(optimizer, tensors);
      state = saved;
    },
    [Symbol.dispose](): void {
      for (const part of [scorer, optimizer, trainer, trained]) part[Symbol.dispose]();
    },
  };
}
