/** The training loop of a language model by maximum likelihood, shared by fine-tuning and pretraining. */

import { Disposables } from '../../disposables.ts';
import type { GeneratedCompletion } from '../../lm/continuous-batch.ts';
import { createGenerator } from '../../lm/generate.ts';
import type { Model } from '../../lm/model.ts';
import type { Example } from '../../lm/packing.ts';
import { exportOptimizer, importOptimizer } from '../../nn/optimizer.ts';
import { exportParameters, importParameters } from '../../nn/parameters.ts';
import { seedFor } from '../../random.ts';
import { type Examples, subset } from '../examples/examples.ts';
import type { TokenSequence } from '../examples/token-view.ts';
import type { Surroundings } from '../training/input.ts';
import { fitMemory } from '../training/memory.ts';
import type { LanguageTrainingOptions } from '../training/options.ts';
import type { SamplePrompt } from '../training/samples.ts';
import {
  adamw,
  checkSameData,
  evaluated,
  evaluationIsDue,
  LEARNED,
  type LossHistory,
  newLossHistory,
  parameterCount,
  rates,
  sampleHeldOut,
  stepped,
} from '../training/steps.ts';
import { type LoraSettings, type Trained, trainedPart } from '../training/trainable.ts';
import {
  type BatchShape,
  createHeldOutLoss,
  createLikelihood,
  type HeldOutLoss,
  type HeldOutMeasure,
  type Likelihood,
  type OnBatch,
} from './likelihood.ts';
import type { RowPosition, TrainingRows } from './rows.ts';

/** A completion of an evaluation, to read. */
export interface Sample {
  /** Text of the prompt. */
  prompt: string;
  /** Text of the model's completion. */
  text: string;
  /** Text of the completion in the data, if there is one. */
  reference?: string;
}

/**
 * An evaluation of a language model: the held-out loss, if data is held out, and completions of prompts. The perplexity is
 * absent where the loss is not −log p.
 */
export interface LanguageEvaluation extends Partial<HeldOutLoss> {
  /** A few completions to read. */
  samples: Sample[];
  /** Number of held-out texts that were measured. */
  n?: number;
  /** Number of held-out texts that they were sampled from; absent if all were measured. */
  sampledFrom?: number;
  /** Metrics of the completions of all prompts, by name. */
  measures: Record<string, number>;
  /** Whether this evaluation has the lowest loss so far. */
  best: boolean;
}

/** What a training minimizes: by default −log p of the learned tokens. */
export interface Objective {
  /** Computes the loss of a step and its gradients. */
  loss: Likelihood;
  /** Computes the loss on held-out examples. */
  heldOut: HeldOutMeasure<Omit<HeldOutLoss, 'perplexity'> & Partial<HeldOutLoss>>;
  /** The rows that a step, counted from 0, learns from, in place of those of the data. */
  rowsOf?(rows: Example[][], step: number, signal?: AbortSignal): Promise<Example[][]>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** A step of a training by maximum likelihood. */
export interface LanguageStep {
  /** Optimizer steps so far. */
  step: number;
  /** Mean −log p of the batch's learned tokens, or what else is minimized, in nats. */
  loss: number;
  /** Norm of the gradient, before clipping. */
  gradientNorm: number;
  /** Learning rate of the step. */
  learningRate: number;
  /** Tokens so far, without padding. */
  tokens: number;
  /** Tokens per second, without padding and evaluations. */
  tokensPerSecond: number;
  /** Mean loss of the steps since the last evaluation. */
  recentLoss: number;
  /** The evaluation after this step, if one was due. */
  evaluation?: LanguageEvaluation;
  /** Whether this was the last step. */
  done: boolean;
}

/** What `createLanguageLearner` puts together. */
export interface LanguageLearnerParts<O extends LanguageTrainingOptions> {
  /** The model to train. */
  model: Model;
  /** Options of the training. */
  options: O;
  /** Trains adapters instead of the weights if the rank is above 0. */
  lora?: LoraSettings;
  /** Name of the run. */
  name: string;
  /** Rows to train on. */
  rows: TrainingRows;
  /** Rows of a batch, computed at once if they fit the memory. */
  part: number;
  /** Tokens per row. */
  length: number;
  /** Whether a row holds as many examples as fit; otherwise it holds one. */
  packing: boolean;
  /** Tokens of a row on average, without padding. */
  rowTokens: number;
  /** Rows of logits that are kept for each row, for the memory. Default 1. */
  logits?: number;
  /** Optimizer steps in all. */
  steps: number;
  /** Held-out examples to evaluate the loss on. */
  heldOut?: Examples;
  /** Prompts to complete at each evaluation. */
  prompts: readonly SamplePrompt[];
  /** Metrics of the completions of `prompts`. */
  measure?: (completions: readonly GeneratedCompletion[]) => Record<string, number>;
  /** Makes what is minimized, in place of −log p, for the trained part of the model; `part` rows are computed at once. */
  objective?: (trained: Trained, shape: BatchShape, part: number) => Objective;
  /** The first rows of the data, for the report. */
  firstRows?: readonly TokenSequence[];
  /** Measures of the data, which do not change. */
  facts?: Record<string, number>;
  /** A checksum of the data, so that a resumed run can check that it is the same. */
  fingerprint: string;
  /** Receives how far an evaluation is. */
  onProgress?: Surroundings['onProgress'];
  /** What was opened for the learner; disposed of with it. */
  own: Disposables;
}

interface LanguageState {
  step: number;
  rows: RowPosition;
  tokens: number;
  seconds: number;
  course: LossHistory;
  fingerprint: string;
}

/** Trains a language model by maximum likelihood, a step at a time. */
export type LanguageLearner<O extends LanguageTrainingOptions = LanguageTrainingOptions> = ReturnType<
  typeof createLanguageLearner<O>
>;

/** Makes the training loop of a language model from its parts. */
export function createLanguageLearner<O extends LanguageTrainingOptions>(parts: LanguageLearnerParts<O>) {
  const { model, options, rows, part, length, packing, steps, prompts, fingerprint, own } = parts;
  const { config, tokenizer, ends } = model;
  const trained = own.use(trainedPart(model, parts.lora ?? {}, options.seed));
  const { parameters, weights, adapters } = trained;
  const shape = { length, fitted: !packing, padding: tokenizer.pad ?? 0 };
  const fitting = fitMemory(options, {
    config,
    parameters: model.parameters,
    trained: parameters,
    rank: parts.lora?.rank ?? 0,
    copies: Number((parts.lora?.rank ?? 0) > 0),
    time: length,
    least: 1,
    logits: parts.logits ?? 1,
  });
  const atOnce = Math.min(part, fitting.rows);
  const objective = own.use(
    parts.objective?.(trained, shape, atOnce) ?? maximumLikelihood(parts, trained, shape, atOnce),
  );
  const { loss: likelihood, heldOut: evaluator } = objective;
  const held = parts.heldOut && sampleOf(parts.heldOut, parts);
  const optimizer = own.use(adamw(parameters, likelihood.gradients, options));
  const generator = prompts.length > 0 ? own.use(createGenerator(config, weights, { adapters })) : undefined;
  const rateOf = rates(options.learningRate ?? 1 / Math.sqrt(parameterCount(parameters)), steps, options);
  let state: LanguageState = {
    step: 0,
    rows: rows.save(),
    tokens: 0,
    seconds: 0,
    course: newLossHistory(),
    fingerprint,
  };

  async function completions(): Promise<Pick<LanguageEvaluation, 'samples' | 'measures'>> {
    if (!generator) return { samples: [], measures: {} };
    const drawn = await generator.complete(
      prompts.map(({ ids }) => ids),
      // the same draws each time, so that only the model differs
      { ...options.samples, seed: seedFor(options.seed, 'samples'), ends, tokenizer },
    );
    const samples = prompts.slice(0, options.samples.count).map(({ ids, reference }, i) => ({
      prompt: tokenizer.decode(ids),
      text: drawn[i].text!,
      reference,
    }));
    return { samples, measures: parts.measure?.(drawn) ?? {} };
  }

  /** Evaluates the current model; `best` is not set. */
  async function evaluate(signal?: AbortSignal): Promise<LanguageEvaluation> {
    const loss = held && (await measured(held.sample, signal));
    const { samples, measures } = await completions();
    return { ...loss, samples, measures: { ...measures, ...parts.facts }, best: false };
  }

  /** The loss on held-out texts, and how many they are. */
  async function measured(examples: Examples, signal?: AbortSignal): Promise<Partial<LanguageEvaluation>> {
    const n = examples.lengths.length;
    const of = parts.heldOut!.lengths.length;
    const onBatch: OnBatch = (done, total) => {
      signal?.throwIfAborted();
      parts.onProgress?.('batches evaluated', done, total);
    };
    return { ...(await evaluator.run(examples, onBatch)), n, ...(n < of && { sampledFrom: of }) };
  }

  /** The evaluation that is due after a step. The losses of the same texts decide which one is the best. */
  async function evaluateAfterStep(): Promise<LanguageEvaluation> {
    const evaluation = await evaluate();
    state.course = evaluated(state.course, evaluation);
    if (!held?.restAtEnd || state.step < steps) return evaluation;
    return { ...evaluation, sampledFrom: undefined, ...(await measured(parts.heldOut!)) };
  }

  return {
    options,
    name: parts.name,
    firstRows: parts.firstRows,
    model,
    /** What is trained of the model. */
    trained,
    /** Saves the model, or its adapters, in a folder. */
    saveModel: trained.save,
    steps,
    /** Evaluates the model on the held-out rows. */
    evaluate,
    /** One optimizer step, and an evaluation if it is due. */
    async next(signal?: AbortSignal): Promise<LanguageStep> {
      const began = performance.now();
      const next = Array.from({ length: part * options.accumulate }, rows.next);
      const batch = objective.rowsOf ? await objective.rowsOf(next, state.step, signal) : next;
      const rate = rateOf(state.step);
      const { loss, tokens } = await likelihood.run(batch, atOnce);
      const gradientNorm = await optimizer.stepFreely(rate);
      const [course, recentLoss] = stepped(state.course, loss);
      state = {
        ...state,
        step: state.step + 1,
        rows: rows.save(),
        tokens: state.tokens + tokens,
        seconds: state.seconds + (performance.now() - began) / 1000,
        course,
      };
      let evaluation: LanguageEvaluation | undefined;
      if (evaluationIsDue(state.step, steps, options)) {
        evaluation = await evaluateAfterStep();
      }
      const stopped = held !== undefined && options.patience > 0 && state.course.worse >= options.patience;
      return {
        step: state.step,
        loss,
        gradientNorm,
        learningRate: rate,
        tokens: state.tokens,
        tokensPerSecond: state.tokens / state.seconds,
        recentLoss,
        evaluation,
        done: stopped || state.step >= steps,
      };
    },
    /** State and tensors, for a checkpoint. */
    save: () => ({ state, tensors: { ...exportParameters(parameters), ...exportOptimizer(optimizer) } }),
    /** Restores what `save` returned. */
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const saved = checkpoint.state as LanguageState;
      checkSameData(saved, state, 'data');
      const tensors = checkpoint.tensors as Parameters<typeof importParameters>[1];
      importParameters(parameters, tensors);
      importOptimizer(optimizer, tensors);
      rows.restore(saved.rows);
      state = saved;
    },
    /** The trained model, with adapters merged in. It is no longer disposed of with the learner. */
    finish(): Model {
      trained.merge();
      return own.release(model);
    },
    /** Frees what it holds; it cannot be used afterwards. */
    [Symbol.dispose]: own[Symbol.dispose],
  };
}

/** The held-out texts that evaluations measure. */
function sampleOf<O extends LanguageTrainingOptions>(
  heldOut: Examples,
  { model, options, steps, part, rowTokens }: LanguageLearnerParts<O>,
): { sample: Examples; restAtEnd: boolean } {
  const { sampled, rest, restAtEnd } = sampleHeldOut(heldOut.lengths, {
    parameters: parameterCount(model.parameters),
    work: LEARNED * steps * part * options.accumulate * rowTokens,
    options,
  });
  return { sample: rest.length === 0 ? heldOut : subset(heldOut, sampled), restAtEnd };
}

/** −log p of the learned tokens, in training and held out. */
function maximumLikelihood<O extends LanguageTrainingOptions>(
  { model: { config }, options: { checkpointLayers } }: LanguageLearnerParts<O>,
  { parameters, weights, frozen, linear }: Trained,
  shape: BatchShape,
  part: number,
): Objective {
  using own = new Disposables();
  const loss = own.use(createLikelihood(config, parameters, shape, { linear, frozen, checkpointLayers }));
  const evaluator = own.use(createHeldOutLoss(config, weights, shape, part, linear));
  const end = own.move();
  return { loss, heldOut: evaluator, [Symbol.dispose]: end[Symbol.dispose] };
}
