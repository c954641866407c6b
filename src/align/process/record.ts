/** The record of the training of a reward model for the steps of completions. */
import { percent } from '../../percent.ts';
import { duration } from '../../run/progress.ts';
import { opened, type TrainingRecord } from '../../run/training-record.ts';
import { formatAccuracy, rewardKind } from '../reward-model/record.ts';
import { processSchema } from './options.ts';
import { createProcess } from './process.ts';
import { diagnoseProcessRun, processReport } from './report.ts';
import { type ProcessRun, trainProcess } from './train.ts';

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
