/** The record of the training of a reward model for the steps of completions. */
import { percent, percents } from '../../percent.ts';
import type { Diagnosis } from '../../run/diagnosis.ts';
import type { TrainParts } from '../../run/drive.ts';
import { duration } from '../../run/progress.ts';
import type { Report } from '../../run/report.ts';
import { type Lines, linesOver, reportRun, tableOf, tokensFigure, trainingAndHeldOut } from '../../run/report-parts.ts';
import { opened, type TrainingRecord } from '../../run/training-record.ts';
import { diagnoseProcess } from '../diagnosis/process.ts';
import { diagnoseRun } from '../diagnosis/run.ts';
import type { Share } from '../reward-model/evaluation.ts';
import { formatAccuracy, rewardKind } from '../reward-model/record.ts';
import { stepMetrics, type TrainedModel, trainModel } from '../training/train-model.ts';
import type { StepEvaluation } from './evaluation.ts';
import { processSchema } from './options.ts';
import {
  createProcess,
  type ProcessEvaluation,
  type ProcessLearner,
  type ProcessStep,
  processEvaluationMetrics,
} from './process.ts';

const STEPS = ['optimizer steps'];

/** The diagnosis of such a run: the one it stored, or one of the rows so far. */
const diagnoseProcessRun = (folder: string): Diagnosis => diagnoseRun(folder, diagnoseProcess);

/** The report of a run of `heed process`. @throws HeedError when the folder is not a run. */
export function processReport(folder: string): Report {
  return reportRun(folder, ({ rows, samples }) => {
    const last = (samples as ProcessEvaluationRow[]).findLast(({ kind }) => kind === 'evaluation')?.evaluation;
    return {
      how: 'process reward model',
      summary: [...(last ? summaryOf(last) : []), tokensFigure(rows)],
      diagnosis: diagnoseProcessRun(folder),
      sections: [
        ...charts.flatMap(([title, unit, caption, lines]) => linesOver(rows, title, unit, caption, lines, STEPS)),
        ...(last ? numbers(last) : []),
      ],
    };
  });
}

/** Charts of metrics, in this order: title, unit, caption, lines. */
const charts: [title: string, unit: string, caption: string, lines: Lines][] = [
  ['Accuracy by step', 'share', 'Share of steps that the model classifies correctly.', trainingAndHeldOut('accuracy')],
  [
    'Loss',
    'nats per step',
    'Mean −log P of the labels; in training, of the labels learned.',
    trainingAndHeldOut('loss'),
  ],
  [
    'Accuracy by completion',
    'share',
    'Share of held-out completions that the model classifies correctly as right in all steps or not, by how it aggregates their probabilities.',
    [
      ['product', 'accuracy/product'],
      ['lowest', 'accuracy/min'],
      ['last', 'accuracy/last'],
    ],
  ],
  ['Norm of the gradient', 'norm', 'Before clipping, of all parameters together.', [['norm', 'gradient/norm']]],
];

const summaryOf = ({ accuracy, interval, n, right, completions, allRight }: StepEvaluation) => [
  {
    label: 'Held-out accuracy',
    value: percent(accuracy),
    note: `${percents(interval)}, ${n} steps, ${percent(right)} of them right`,
  },
  {
    label: 'Accuracy by completion',
    value: percent(completions.product.accuracy),
    note: `by the product of its steps; ${percent(allRight)} are right as a whole`,
  },
];

const numbers = ({ auc, ofRight, ofWrong, right, completions, allRight }: StepEvaluation) =>
  tableOf(
    'In numbers',
    ['what', 'share', '95 % interval'],
    [
      ['steps that are right', percent(right), ''],
      ['accuracy on right steps', percent(ofRight), ''],
      ['accuracy on wrong steps', percent(ofWrong), ''],
      ['right step scored above a wrong one', Number.isFinite(auc) ? percent(auc) : '–', ''],
      ['completions right as a whole', percent(allRight), ''],
      ...Object.entries(completions).map(([by, { accuracy, interval }]) => [
        `accuracy on completions, by the ${by} of their steps`,
        percent(accuracy),
        percents(interval),
      ]),
    ],
    'On held-out completions. Always predicting "right" has the accuracy of the share that is right.',
  );

/** The result of `trainProcess`. Without held-out completions, accuracy is NaN. */
export interface ProcessRun extends TrainedModel, Share {
  /** Share of the held-out steps that are right. */
  right: number;
  /** Accuracy over whole completions; see `StepEvaluation`. */
  completions?: StepEvaluation['completions'];
}

/** A row of samples.jsonl with an evaluation. */
export interface ProcessEvaluationRow {
  kind: 'evaluation';
  step: number;
  evaluation: ProcessEvaluation;
}

/** Trains a process reward model in a run's folder (see `trainModel`). Returns undefined when the signal stops it. */
export function trainProcess(learner: ProcessLearner, parts: TrainParts<ProcessStep>): Promise<ProcessRun | undefined> {
  return trainModel<ProcessEvaluation, ProcessStep, ProcessRun>(learner, parts, {
    keepBest: learner.options.keepBest,
    diagnose: diagnoseProcess,
    save: learner.saveModel,
    record: stepMetrics,
    recordEvaluation(step, evaluation) {
      parts.run.sample({ kind: 'evaluation', step, evaluation } satisfies ProcessEvaluationRow);
      return processEvaluationMetrics(evaluation);
    },
    result({ evaluation }) {
      const { accuracy = Number.NaN, interval = [0, 1], n = 0, right = Number.NaN, completions } = evaluation ?? {};
      return { accuracy, interval, n, right, ...(completions && { completions }) };
    },
  });
}

export const processSupervision: TrainingRecord = {
  name: 'process',
  ...opened(processSchema, createProcess),
  ...rewardKind,
  train: trainProcess,
  report: processReport,
  diagnose: diagnoseProcessRun,
  summarize: ({ accuracy, interval, n, right, completions, seconds, model }: ProcessRun) => {
    const steps = () => `${formatAccuracy({ accuracy, interval, n }, 'held-out steps')}; ${percent(right)} are right`;
    return [
      ['steps', n === 0 ? 'nothing was held out' : steps()],
      ...Object.entries(completions ?? {}).map(([by, share]): [string, string] => [
        `by ${by}`,
        formatAccuracy(share, 'held-out completions'),
      ]),
      ['time', duration(seconds)],
      ['model', model],
    ];
  },
};
