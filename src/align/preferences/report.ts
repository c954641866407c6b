/** The report of a training on preferences, from what its folder holds. */
import { type Report, readInfo, readMetrics, readSamples } from '../../run/index.ts';
import { count, figure } from '../../run/progress.ts';
import { elapsed, type Lines, linesOver, subtitle, trainingAndHeldOut } from '../../run/report-parts.ts';
import { answersTable } from '../training/samples.ts';

const STEPS = ['optimizer steps'];

/** Charts of what a training may tell, in this order: title, unit, caption, lines. */
const charts: [title: string, unit: string, caption: string, lines: Lines][] = [
  ['Loss', 'loss', 'A mean of pairs or answers.', trainingAndHeldOut('loss')],
  ['Reward of answers', 'reward', 'Mean worth of the answers to held-out prompts.', [['reward', 'eval/reward']]],
  ['KL from the reference', 'nats an answer', 'Mean log π − log π_ref of the same answers.', [['KL', 'eval/kl']]],
  [
    'Accuracy',
    'share',
    'Pairs of which the policy rewards the chosen answer more.',
    [
      ['training', 'rewards/accuracies'],
      ['held out', 'eval/rewards/accuracies'],
    ],
  ],
  [
    'Rewards by the policy',
    'reward',
    'Of held-out answers: what the loss takes the policy’s log-probabilities for.',
    [
      ['chosen', 'eval/rewards/chosen'],
      ['rejected', 'eval/rewards/rejected'],
    ],
  ],
  [
    'Log-probabilities',
    'nats an answer',
    'Of held-out answers. Where the chosen fall too, probability goes to answers that nobody compared.',
    [
      ['chosen', 'eval/logps/chosen'],
      ['rejected', 'eval/logps/rejected'],
    ],
  ],
  ['Length', 'tokens', 'Of the answers to held-out prompts.', [['length', 'eval/response/length']]],
  ['Norm of the gradient', 'norm', 'Before clipping, of all parameters together.', [['norm', 'gradient/norm']]],
  ['Learning rate', 'rate', 'What the schedule gave each step.', [['rate', 'learning_rate']]],
];

/** Throws a HeedError where the folder is not a run. */
export function offlinePreferenceReport(folder: string): Report {
  const { name, command, config, seed, started } = readInfo(folder);
  const rows = readMetrics(folder);
  const evaluated = rows.filter((row) => 'eval/kl' in row || 'loss/eval' in row);
  const [first, last] = [evaluated[0], evaluated.at(-1)];
  const card = (label: string, metric: string, note = '') =>
    last && metric in last
      ? [{ label, value: figure(last[metric]), note: `${note}from ${figure(first[metric])}` }]
      : [];
  return {
    title: name,
    subtitle: subtitle(started, command, seed),
    summary: [
      ...card('Reward', 'eval/reward'),
      ...card('Accuracy', 'eval/rewards/accuracies', 'held out, '),
      ...card('Held-out loss', 'loss/eval'),
      ...card('KL', 'eval/kl', 'nats an answer, '),
      { label: 'Tokens', value: count(rows.findLast((row) => 'tokens' in row)?.tokens ?? 0), note: 'without padding' },
      { label: 'Time', value: elapsed(rows) },
    ],
    sections: [
      ...charts.flatMap(([title, unit, caption, lines]) => linesOver(rows, title, unit, caption, lines, STEPS)),
      ...answersTable(readSamples(folder) as { kind: string }[]),
    ],
    config: config as Record<string, unknown>,
  };
}
