/** Runs graders: a definition and what a model wrote in, a reward out. */

import type { Completion, OpenReward } from '../../align/reward-functions/reward-function.ts';
import { textSimilarities } from '../../align/reward-functions/text-similarity.ts';
import { severally } from '../../align/training/requests.ts';
import { Disposables } from '../../disposables.ts';
import { HeedError, messageOf } from '../../error.ts';
import type { Grader, SingleGrader } from './definition.ts';
import { parseFormula } from './formula.ts';
import { GraderError } from './grader-error.ts';
import { createJavascriptRunner, type JavascriptLimits } from './javascript.ts';
import { type GraderModels, gradeByModel } from './model-grader.ts';
import { fillIn, type Graded, sampleOf } from './template.ts';

/** What a grader says of a sample. */
export interface Grade {
  /** The reward; 0 if the grader failed. */
  reward: number;
  /** The rewards of a multi grader's graders by name; 0 for those that failed. */
  subRewards: Record<string, number>;
  /** What failed. */
  errors: GraderError[];
  /** Tokens that the graders' models read and wrote, by the model's name. */
  tokens: Record<string, number>;
}

/** A grader that is ready to grade. */
export interface OpenGrader extends Disposable {
  /** Grades a sample. Whatever goes wrong is in the grade; only an abort rejects. */
  grade(graded: Graded, signal?: AbortSignal): Promise<Grade>;
}

type Measure = (
  graded: Graded,
  count: (model: string, tokens: number) => void,
  signal?: AbortSignal,
) => Promise<number>;

/**
 * Makes a checked definition ready to grade.
 *
 * @param models What runs the models of score_model and label_model graders; without it, they fail.
 * @param limits What JavaScript may take, if it differs from the defaults.
 */
export function openGrader(grader: Grader, models?: GraderModels, limits?: Partial<JavascriptLimits>): OpenGrader {
  const scope = new Disposables();
  const measureOf = (part: SingleGrader) => createMeasure(part, models, limits, scope);
  const parts = grader.type === 'multi' ? Object.entries(grader.graders) : [];
  const measures = new Map(parts.map(([name, part]) => [name, measureOf(part)]));
  const formula = grader.type === 'multi' ? parseFormula(grader.calculate_output) : undefined;
  const single = grader.type === 'multi' ? undefined : measureOf(grader);
  return {
    async grade(graded, signal) {
      const grade: Grade = { reward: 0, subRewards: {}, errors: [], tokens: {} };
      const count = (model: string, tokens: number) => {
        grade.tokens[model] = (grade.tokens[model] ?? 0) + tokens;
      };
      const guarded = async (work: () => number | Promise<number>): Promise<number> => {
        try {
          const reward = await work();
          if (Number.isFinite(reward)) return reward;
          throw new GraderError('other_error', `The grader gives ${reward}, which is not a reward.`);
        } catch (error) {
          signal?.throwIfAborted();
          grade.errors.push(
            error instanceof GraderError ? error : new GraderError('other_error', messageOf(error), { cause: error }),
          );
          return 0;
        }
      };
      if (single) {
        grade.reward = await guarded(() => single(graded, count, signal));
        return grade;
      }
      for (const [name, measure] of measures) {
        grade.subRewards[name] = await guarded(() => measure(graded, count, signal));
      }
      grade.reward = await guarded(() => formula!.evaluate(grade.subRewards));
      return grade;
    },
    [Symbol.dispose]: () => scope[Symbol.dispose](),
  };
}

function createMeasure(
  grader: SingleGrader,
  models: GraderModels | undefined,
  limits: Partial<JavascriptLimits> | undefined,
  scope: Disposables,
): Measure {
  switch (grader.type) {
    case 'string_check':
      return async (graded) =>
        checkString(grader.operation, fillIn(grader.input, graded), fillIn(grader.reference, graded)) ? 1 : 0;
    case 'text_similarity':
      return async (graded) =>
        textSimilarities[grader.evaluation_metric](fillIn(grader.input, graded), fillIn(grader.reference, graded));
    case 'javascript': {
      const runner = scope.use(createJavascriptRunner(grader.source, limits));
      return (graded) => runner.grade(graded);
    }
    default:
      return (graded, count, signal) => gradeByModel(grader, graded, models, count, signal);
  }
}

/** Compares two texts: equal, different, contained, or contained whatever the case. */
export function checkString(operation: 'eq' | 'ne' | 'like' | 'ilike', input: string, reference: string): boolean {
  switch (operation) {
    case 'eq':
      return input === reference;
    case 'ne':
      return input !== reference;
    case 'like':
      return input.includes(reference);
    case 'ilike':
      return input.toLowerCase().includes(reference.toLowerCase());
  }
}

/** Faults that a sample can cause; any other is the grader's own. */
const ofSample = new Set<string>(['sample_parse_error', 'python_grader_runtime_error', 'model_grader_parse_error']);
/** Samples graded at once. */
const AT_ONCE = 8;

/** Options of `graderReward`. */
export interface GraderRewardOptions {
  /** What runs the models of score_model and label_model graders; without it, they fail. */
  models?: GraderModels;
  /** What JavaScript may take, if it differs from the defaults. */
  limits?: Partial<JavascriptLimits>;
  /** Called with each sample's fault. */
  onFault?: (error: GraderError) => void;
}

/**
 * A grader as the reward of `grpo` and others: `item` is the row of the prompt. A sample that the grader cannot read has
 * the reward 0.
 *
 * @throws HeedError from `score` when the grader itself fails, or fails on every sample.
 */
export function graderReward(
  grader: Grader,
  { models, limits, onFault = () => {} }: GraderRewardOptions = {},
): OpenReward {
  const opened = openGrader(grader, models, limits);
  return {
    name: grader.name,
    async score(completions: readonly Completion[], signal) {
      const rewards = new Float64Array(completions.length);
      const failed: GraderError[] = [];
      await severally(completions.length, AT_ONCE, signal, async (i, either) => {
        const { text, row } = completions[i];
        const { reward, errors } = await opened.grade({ sample: sampleOf(text), item: row }, either);
        const graderError = errors.find(({ fault }) => !ofSample.has(fault));
        if (graderError) throw graderError;
        rewards[i] = reward;
        if (errors.length === 0) return;
        failed.push(errors[0]);
        onFault(errors[0]);
      });
      const broken = failed.filter(({ fault }) => fault === 'python_grader_runtime_error');
      if (broken.length === 0 || broken.length < completions.length) return rewards;
      throw new HeedError(`The grader "${grader.name}" fails on every completion: ${broken[0].message}`, {
        hint: broken[0].hint,
      });
    },
    [Symbol.dispose]: opened[Symbol.dispose],
  };
}
