/** heed train: learn from preferences. */
import type { Command } from 'commander';
import { createLearner } from '../control/index.ts';
import { preferenceReport } from '../control/report.ts';
import { trainFromPreferences, trainOptions, trainSchema } from '../control/train.ts';
import { duration } from '../run/progress.ts';
import { returned, seenReturn } from './rl.ts';
import { addTraining } from './training.ts';

export function addTrain(command: Command): void {
  addTraining(command, {
    command: 'train',
    schema: trainSchema,
    shortcuts: { ensemble: 'reward.members', query: 'query.rule' },
    create: (settings) => createLearner(trainOptions(settings)),
    about: ({ options }) => ({ name: options.env, steps: options.steps }),
    train: trainFromPreferences,
    report: preferenceReport,
    live: ({ evaluation, labels, accuracy }) => ({
      ...seenReturn(evaluation),
      labels,
      ...(Number.isFinite(accuracy) && { accuracy }),
    }),
    tell: ({ return: evaluated, labels, steps, accuracy, correlation, seconds }) => [
      ['return', returned(evaluated)],
      ['labels', `${labels}`],
      ['steps', steps.toLocaleString('en-US')],
      ['accuracy', `${share(accuracy)} of choices foreseen before they were learnt`],
      [
        'reward',
        `follows the true one with Pearson ${three(correlation.pearson)}, Spearman ${three(correlation.spearman)}`,
      ],
      ['time', duration(seconds)],
    ],
  });
}

const share = (value: number) => (Number.isFinite(value) ? `${Math.round(value * 100)} %` : 'no share');
const three = (value: number) => (Number.isFinite(value) ? value.toFixed(3) : 'none (true returns are all equal)');
