/**
 * What trainings on preferences share: in each step a batch of pairs, or of rated answers, in a drawn order, is compared by the
 * policy's own log-probabilities, and by those of the reference where the loss has one; now and then the policy is evaluated on
 * held-out preferences and by its answers.
 */
import type { Disposables } from '../../disposables.ts';
import type { Model } from '../../lm/model.ts';
import { rowLengths } from '../../lm/packing.ts';
import { exportOptimizer, exportParameters, importOptimizer, importParameters } from '../../nn/index.ts';
import { learnedTokens } from '../examples/examples.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import { type Policy, usualRate } from '../training/policy.ts';
import { type Course, checkSameData, evaluated, newCourse, stepped } from '../training/progress.ts';
import { adamw, evaluationIsDue, itemsOfStep, rates } from '../training/steps.ts';
import { countOf, type ItemLayout, type Items } from './batch.ts';
import { type PreferenceData, preferenceFingerprint } from './data.ts';
import { createPreferenceAnswers, mean, metricsOf, type PreferenceEvaluation } from './evaluation.ts';
import { type PreferenceLoss, readsOf } from './loss.ts';
import type { PreferenceOptions } from './options.ts';
import { createReferences } from './reference.ts';
import { createPreferenceScorer, createPreferenceTrainer, type PreferenceContext } from './trainer.ts';

/** What one algorithm has that others have not. */
export interface PreferenceAlgorithm {
  loss: PreferenceLoss;
  /** Prompts are learned too, with the chosen answers. */
  wholeTexts?: boolean;
  /** What tokens weigh by which an answer is longer than the other one of its pair: 1 where absent. */
  tailWeight?: number;
}

export interface PreferenceStep {
  step: number;
  /** Of the batch, a mean of its items. */
  loss: number;
  /** By the names they have in metrics.jsonl. */
  metrics: Record<string, number>;
  /** Mean loss of the steps since the evaluation before. */
  recentLoss: number;
  /** Tokens a second that were no padding, evaluations left out. */
  tokensPerSecond: number;
  evaluation?: PreferenceEvaluation;
  done: boolean;
}

export interface PreferenceLearnerParts<O extends PreferenceOptions> {
  policy: Policy;
  options: O;
  /** Of the run. */
  name: string;
  algorithm: PreferenceAlgorithm;
  data: PreferenceData;
  /** What answers are worth, to be told in evaluations. */
  reward?: Reward;
  /** What was opened for the learner: disposed of with it. */
  own: Disposables;
}

interface State {
  step: number;
  tokens: number;
  seconds: number;
  course: Course;
  /** Rewards of all batches so far. */
  seen: PreferenceContext['seen'];
  /** Of the policy as it started. */
  before?: { reward?: number };
  fingerprint: string;
}

export type PreferenceLearner<O extends PreferenceOptions = PreferenceOptions> = ReturnType<
  typeof createPreferenceLearner<O>
>;

export function createPreferenceLearner<O extends PreferenceOptions>(parts: PreferenceLearnerParts<O>) {
  const { policy, options, algorithm, data, own } = parts;
  const { train, heldOut } = data;
  const { loss } = algorithm;
  const count = countOf(train);
  const batch = Math.min(options.batch, count);
  const part = largestDivisor(batch, options.part);
  const steps = options.steps ?? Math.max(1, Math.ceil((count * options.epochs) / batch));
  const layout = layoutOf(parts);
  const reads = readsOf(loss);
  const trainer = own.use(
    createPreferenceTrainer(policy, loss, layout, {
      sides: train.sides.length,
      part,
      checkpointLayers: options.checkpointLayers,
    }),
  );
  const scorer = own.use(createPreferenceScorer(policy, loss, layout, part));
  const references = own.use(createReferences(policy, layout, part, options.precompute ?? true));
  const answers = own.use(createPreferenceAnswers(policy, data.prompts, options, parts.reward));
  const optimizer = own.use(adamw(policy.parameters, trainer.gradients, options));
  const rateOf = rates(options.learningRate ?? usualRate(policy), steps, options);
  const fingerprint = preferenceFingerprint(train);
  let state: State = {
    step: 0,
    tokens: 0,
    seconds: 0,
    course: newCourse(),
    seen: { sum: 0, count: 0 },
    fingerprint,
  };

  const contextOf = (items: Items, indices: readonly number[]): PreferenceContext => ({
    reference: reads.has('reference')
      ? references.logP(items, indices)
      : new Float32Array(items.sides.length * indices.length),
    kl: reads.has('kl') ? klOf(items, indices) : 0,
    seen: state.seen,
  });

  /** Of the policy from the reference, from answers that were given to other prompts; never below 0. */
  const klOf = ({ partners }: Items, indices: readonly number[]): number => {
    if (!partners) return 0;
    const theirs = references.partners(partners, indices);
    const ours = scorer.logP({ sides: [partners] }, indices);
    return Math.max(0, mean(ours.map((logP, i) => logP - theirs[i])));
  };

  /** Of the policy as it stands; it counts for no best. */
  async function evaluate(): Promise<PreferenceEvaluation> {
    const evaluation: PreferenceEvaluation = { metrics: {}, ...(await answers.run()), best: false };
    if (heldOut) {
      const all = Array.from({ length: countOf(heldOut) }, (_, i) => i);
      const values = scorer.values(heldOut, contextOf(heldOut, all));
      Object.assign(evaluation, { loss: values.loss, metrics: metricsOf(heldOut, all, values) });
    }
    if (state.step === 0) state.before = { reward: evaluation.reward };
    return evaluation;
  }

  return {
    options,
    name: parts.name,
    policy,
    steps,
    evaluate,
    /** What the policy's answers were worth as it started, once that was evaluated. */
    before: () => state.before,
    /** One optimizer step, and an evaluation where one is due. */
    async next(): Promise<PreferenceStep> {
      const began = performance.now();
      const rate = rateOf(state.step);
      const indices = itemsOfStep(state.step, batch, count, options.seed);
      const values = trainer.run(train, indices, contextOf(train, indices));
      const norm = optimizer.step(rate);
      const [course, recentLoss] = stepped(state.course, values.loss);
      const { seen } = state;
      state = {
        ...state,
        step: state.step + 1,
        tokens: state.tokens + values.tokens,
        seconds: state.seconds + (performance.now() - began) / 1000,
        course,
        seen: {
          sum: seen.sum + values.rewards.reduce((a, b) => a + b, 0),
          count: seen.count + values.rewards.length,
        },
      };
      let evaluation: PreferenceEvaluation | undefined;
      if (evaluationIsDue(state.step, steps, options)) {
        evaluation = await evaluate();
        state.course = evaluated(state.course, evaluation);
      }
      const stopped = heldOut !== undefined && options.patience > 0 && state.course.worse >= options.patience;
      return {
        step: state.step,
        loss: values.loss,
        metrics: {
          ...metricsOf(train, indices, values),
          'gradient/norm': norm,
          learning_rate: rate,
          tokens: state.tokens,
        },
        recentLoss,
        tokensPerSecond: state.tokens / state.seconds,
        evaluation,
        done: stopped || state.step >= steps,
      };
    },
    save: () => ({ state, tensors: { ...exportParameters(policy.parameters), ...exportOptimizer(optimizer) } }),
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const saved = checkpoint.state as State;
      checkSameData(saved, state, 'data');
      const tensors = checkpoint.tensors as Parameters<typeof importParameters>[1];
      importParameters(policy.parameters, tensors);
      importOptimizer(optimizer, tensors);
      state = saved;
    },
    /** The trained model, with adapters merged in. It is no longer disposed of with the learner. */
    finish(): Model {
      policy.merge();
      return own.release(policy.model);
    },
    [Symbol.dispose]: own[Symbol.dispose],
  };
}

const largestDivisor = (of: number, most: number): number => {
  let divisor = Math.min(of, most);
  while (of % divisor > 0) divisor--;
  return divisor;
};

function layoutOf<O extends PreferenceOptions>({ policy, data, algorithm }: PreferenceLearnerParts<O>): ItemLayout {
  const { wholeTexts = false, tailWeight = 1 } = algorithm;
  const all = [data.train, data.heldOut].flatMap((items) => [...(items?.sides ?? []), items?.partners]);
  const longest = most(all.flatMap((side) => side?.lengths ?? []));
  const [chosen, rejected] = data.train.sides;
  const pairs = most(rejected?.lengths.map((length, i) => length + learnedTokens(chosen.at(i)) + 1) ?? []);
  return {
    lengths: rowLengths(longest, wholeTexts ? longest : pairs),
    padding: policy.model.tokenizer.pad ?? 0,
    wholeTexts,
    tailWeight,
  };
}

const most = (numbers: readonly number[]): number => numbers.reduce((a, b) => Math.max(a, b), 0);
