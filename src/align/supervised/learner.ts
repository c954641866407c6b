/** A training of a language model by maximum likelihood, one optimizer step at a time: what fine-tuning and pretraining share. */
import type { Disposables } from '../../disposables.ts';
import { createGenerator, type GeneratedCompletion } from '../../lm/generate.ts';
import type { Model } from '../../lm/model.ts';
import { exportOptimizer, exportParameters, importOptimizer, importParameters } from '../../nn/index.ts';
import { seedFor } from '../../random.ts';
import type { Examples } from '../examples/examples.ts';
import type { LanguageTrainingOptions } from '../training/options.ts';
import { type Course, checkSameData, evaluated, newCourse, stepped } from '../training/progress.ts';
import type { SamplePrompt } from '../training/samples.ts';
import { adamw, evaluationIsDue, rates, sizeOf } from '../training/steps.ts';
import { type LoraSettings, trainedPart } from '../training/trainable.ts';
import { createHeldOutLoss, createLikelihood, type HeldOutLoss } from './likelihood.ts';
import type { RowPosition, Rows } from './rows.ts';

export interface Sample {
  prompt: string;
  text: string;
  reference?: string;
}

export interface LanguageEvaluation extends Partial<HeldOutLoss> {
  samples: Sample[];
  /** What is told of the answers to all prompts, by the name of the metric. */
  measures: Record<string, number>;
  /** Of all evaluations after a step, this one has the lowest loss. */
  best: boolean;
}

export interface LanguageStep {
  /** Optimizer steps so far. */
  step: number;
  /** Mean −log p of the batch's learned tokens, in nats. */
  loss: number;
  gradientNorm: number;
  learningRate: number;
  /** Tokens seen so far that were no padding. */
  tokens: number;
  /** Such tokens a second, evaluations left out. */
  tokensPerSecond: number;
  /** Mean loss of the steps since the evaluation before. */
  recentLoss: number;
  evaluation?: LanguageEvaluation;
  done: boolean;
}

export interface LanguageLearnerParts<O extends LanguageTrainingOptions> {
  /** The model to train. */
  model: Model;
  options: O;
  /** Trains adapters in place of the weights, where their rank is above 0. */
  lora?: LoraSettings;
  /** Of the run. */
  name: string;
  rows: Rows;
  /** Rows computed at once. */
  part: number;
  /** Tokens of a row. */
  length: number;
  /** Every row holds as many examples as fit; else one. */
  packing: boolean;
  /** Optimizer steps in all. */
  steps: number;
  /** What the loss is evaluated on, if anything. */
  heldOut?: Examples;
  prompts: readonly SamplePrompt[];
  /** What to tell of the answers to `prompts`. */
  measure?: (answers: readonly GeneratedCompletion[]) => Record<string, number>;
  /** By which a resumed training knows its data. */
  fingerprint: string;
  /** What was opened for the learner: disposed of with it. */
  own: Disposables;
}

interface LanguageState {
  step: number;
  rows: RowPosition;
  tokens: number;
  seconds: number;
  course: Course;
  fingerprint: string;
}

export type LanguageLearner<O extends LanguageTrainingOptions = LanguageTrainingOptions> = ReturnType<
  typeof createLanguageLearner<O>
>;

export function createLanguageLearner<O extends LanguageTrainingOptions>(parts: LanguageLearnerParts<O>) {
  const { model, options, rows, part, length, packing, steps, heldOut, prompts, fingerprint, own } = parts;
  const { config, tokenizer, ends } = model;
  const trained = own.use(trainedPart(model, parts.lora ?? {}, options.seed));
  const { parameters, weights, frozen, linear } = trained;
  const shape = { length, fitted: !packing, padding: tokenizer.pad ?? 0 };
  const likelihood = own.use(
    createLikelihood(config, parameters, shape, { linear, frozen, checkpointLayers: options.checkpointLayers }),
  );
  const optimizer = own.use(adamw(parameters, likelihood.gradients, options));
  const evaluator = heldOut && own.use(createHeldOutLoss(config, weights, heldOut, shape, part, linear));
  const generator = prompts.length > 0 ? own.use(createGenerator(config, weights, { linear })) : undefined;
  const rateOf = rates(options.learningRate ?? 1 / Math.sqrt(sizeOf(parameters)), steps, options);
  let state: LanguageState = {
    step: 0,
    rows: rows.save(),
    tokens: 0,
    seconds: 0,
    course: newCourse(),
    fingerprint,
  };

  async function answers(): Promise<Pick<LanguageEvaluation, 'samples' | 'measures'>> {
    if (!generator) return { samples: [], measures: {} };
    const completions = await generator.complete(
      prompts.map(({ ids }) => ids),
      // the same draws each time, so that what differs is the model
      { ...options.samples, seed: seedFor(options.seed, 'samples'), ends, tokenizer },
    );
    const samples = prompts.slice(0, options.samples.count).map(({ ids, reference }, i) => ({
      prompt: tokenizer.decode(ids),
      text: completions[i].text!,
      reference,
    }));
    return { samples, measures: parts.measure?.(completions) ?? {} };
  }

  /** Of the model as it stands; it counts for no best. */
  async function evaluate(): Promise<LanguageEvaluation> {
    return { ...evaluator?.run(), ...(await answers()), best: false };
  }

  return {
    options,
    name: parts.name,
    model,
    saveModel: trained.save,
    steps,
    evaluate,
    /** One optimizer step, and an evaluation where one is due. */
    async next(): Promise<LanguageStep> {
      const began = performance.now();
      const batch = Array.from({ length: part * options.accumulate }, rows.next);
      const rate = rateOf(state.step);
      const { loss, tokens } = likelihood.run(batch, part);
      const gradientNorm = optimizer.step(rate);
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
        evaluation = await evaluate();
        state.course = evaluated(state.course, evaluation);
      }
      const stopped = evaluator !== undefined && options.patience > 0 && state.course.worse >= options.patience;
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
    save: () => ({ state, tensors: { ...exportParameters(parameters), ...exportOptimizer(optimizer) } }),
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
    [Symbol.dispose]: own[Symbol.dispose],
  };
}
