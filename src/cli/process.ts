/** heed process: a reward model of the steps of answers. */
import type { Command } from 'commander';
import { createProcess, processReport, processSchema, trainProcess } from '../align/index.ts';
import { duration } from '../run/progress.ts';
import { pullProgress } from './pull.ts';
import { percent, toldShare } from './reward.ts';
import { addTraining } from './training.ts';

export function addProcess(command: Command): void {
  addTraining(command, {
    command: 'process',
    schema: processSchema,
    create(settings, tell) {
      const { done, ...pull } = pullProgress('pull');
      return createProcess(settings, { pull, tell }).finally(done);
    },
    about: ({ name, steps }) => ({ name, steps }),
    train: trainProcess,
    report: processReport,
    live: ({ loss, accuracy, evaluation }) => ({ loss, accuracy, ...(evaluation && { eval: evaluation.accuracy }) }),
    tell: ({ accuracy, interval, n, right, answers, seconds, model }) => [
      [
        'steps',
        n === 0
          ? 'nothing was held out'
          : `${toldShare({ accuracy, interval, n }, 'steps')}; ${percent(right)} are right`,
      ],
      ...Object.entries(answers ?? {}).map(([by, share]): [string, string] => [
        `by ${by}`,
        toldShare(share, 'answers'),
      ]),
      ['time', duration(seconds)],
      ['model', model],
    ],
  });
}
