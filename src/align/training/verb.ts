/** The training that a verb such as `dpo(…)` returns, and its result. */
import { textsForPrograms, withOptionNames } from '../../library-words.ts';
import type { LoraAdapter } from '../../lm/lora.ts';
import type { Model } from '../../lm/model.ts';
import type { Diagnosis } from '../../run/diagnosis.ts';
import type { MetricsRow } from '../../run/run.ts';
import { createTraining, type Steps, type Training } from '../../run/training.ts';
import type { Surroundings } from './input.ts';
import type { Trained } from './trainable.ts';

/** The result of every training. */
export interface TrainingResult {
  /**
   * The latest value of each metric, by its name in metrics.jsonl: those of the last step and of the last evaluation.
   */
  metrics: Record<string, number>;
  /** Steps taken. */
  steps: number;
}

/** The result of the training of a language model. */
export interface ModelResult extends TrainingResult {
  /**
   * The trained model, with adapters merged in: the one that was passed in, or else the one that was loaded, which is
   * now the caller's to dispose of.
   */
  model: Model;
  /** With `lora`: the adapters alone, a copy, for `saveAdapter`. */
  adapter?: LoraAdapter;
  /** What went wrong, if anything, and what to do about it. */
  diagnosis: Diagnosis;
}

/**
 * Makes the training that a verb returns from a learner.
 *
 * @param open Opens the learner of the input, when the training begins.
 * @param metricsOf Gives the metrics of a step and of its evaluation, by their names in metrics.jsonl.
 * @param finish Makes the rest of the result from the learner and the metrics of all steps, before the learner is
 *   disposed of.
 */
export function trainingOf<
  I extends Pick<Surroundings, 'signal' | 'onNotice'>,
  Step extends { step: number; done: boolean },
  Learner extends Steps<Step>,
  Rest extends object,
>(
  open: (input: I) => Promise<Learner>,
  input: I,
  metricsOf: (step: Step) => Record<string, number>,
  finish: (learner: Learner, rows: readonly MetricsRow[]) => Rest | Promise<Rest>,
): Training<Step, Rest & TrainingResult> {
  const metrics: Record<string, number> = {};
  const rows: MetricsRow[] = [];
  let learner: Learner;
  return createTraining(
    async () => {
      learner = await open(forPrograms(input));
      return {
        async next(signal?: AbortSignal): Promise<Step> {
          const step = await learner.next(signal);
          const measured = metricsOf(step);
          Object.assign(metrics, measured);
          rows.push({ ...measured, step: step.step, time: Date.now() / 1000 });
          return step;
        },
        [Symbol.dispose]: () => learner[Symbol.dispose](),
      };
    },
    async (_, last) => {
      const rest = await finish(learner, rows);
      const named = 'diagnosis' in rest ? { diagnosis: textsForPrograms(rest.diagnosis) } : {};
      return { ...rest, ...named, metrics, steps: last?.step ?? 0 };
    },
    input?.signal,
  );
}

/** The model of a training's result, and its adapters. */
export const trainedModel = (
  { adapter }: Pick<Trained, 'adapter'>,
  finish: () => Model,
): Pick<ModelResult, 'model' | 'adapter'> => {
  const alone = adapter?.(); // before they are merged
  return { model: finish(), ...(alone && { adapter: alone }) };
};

/** An input whose notices name options, not flags. */
export const forPrograms = <I extends Pick<Surroundings, 'onNotice'>>(input: I): I => {
  const onNotice = input?.onNotice;
  return onNotice ? { ...input, onNotice: (text: string) => onNotice(withOptionNames(text)) } : input;
};
