/** The report of a policy's training, from the run's folder. */

import type { Diagnosis } from '../../run/diagnosis.ts';
import { trainingSeconds } from '../../run/drive.ts';
import { count, figure } from '../../run/progress.ts';
import type { LineChart } from '../../run/report/line-chart.ts';
import type { Report, Section } from '../../run/report.ts';
import { linesOver, reportRun, seriesOf, tableOf, tokensFigure } from '../../run/report-parts.ts';
import type { MetricsRow } from '../../run/run.ts';
import { diagnosePolicySettings } from '../diagnosis/policy.ts';
import { diagnoseRun } from '../diagnosis/run.ts';
import { completionsTable } from '../training/samples.ts';
import { parseConstraints } from './constraints.ts';
import type { PolicyTrainingOptions } from './options.ts';
import type { AlertRow } from './train.ts';

const STEPS = ['steps'];

/** Charts of metrics, in this order: metric, title, unit, caption. A metric that the run lacks has none. */
const charts: [metric: string, title: string, unit: string, caption: string][] = [
  ['kl/mean', 'KL from the reference', 'nats per completion', 'Mean KL along the training completions.'],
  [
    'reward/true',
    'True reward',
    'reward',
    'Mean over the completions of evaluations; not trained on unless it is the reward.',
  ],
  [
    'reward/win_rate',
    'Win rate against before',
    'share',
    'Share of the evaluation prompts on which the current reward model prefers the completion to that of the initial policy.',
  ],
  ['reward/gold', 'Second reward', 'reward', 'Mean over the completions of evaluations; not trained on.'],
  [
    'reward/disagreement',
    'Disagreement',
    'reward',
    'Standard deviation of the ensemble’s members on a completion: high where their data is sparse.',
  ],
  ['text/accepted', 'Well-formed sentences', 'share', 'Share of sentences that the grammar accepts.'],
  [
    'text/good',
    'Good sentences',
    'share',
    'Sentences that are well formed, positive, about the requested place, and not repeated.',
  ],
  [
    'policy/entropy',
    'Entropy',
    'nats per token',
    'How undecided the policy is: low when it writes the same each time.',
  ],
  ['response/length', 'Length', 'tokens', 'Mean of the training completions.'],
  ['response/eos_rate', 'Completions that end', 'share', 'The others were cut.'],
  ['policy/clip_fraction', 'Clipped', 'share', 'Share of tokens whose ratio is outside the clip range.'],
  [
    'value/explained_var',
    'Explained variance',
    'share',
    'Of the returns, by the critic: 1 is a perfect prediction, 0 no better than their mean.',
  ],
  ['rollouts/idle', 'Idle', 'share', 'Share of time in which tools were waited for, and nothing was computed.'],
  ['rollouts/staleness', 'Staleness', 'updates', 'Of the policy since the episodes of a step began: the mean.'],
  ['labels', 'Judgments', 'judgments', 'Comparisons of the policy’s completions that the reward model has learned.'],
  [
    'reward/foreseen',
    'Judgments foreseen',
    'share',
    'Share of the judgments so far that the reward model predicted before it learned from them.',
  ],
  ['probe/failed', 'Failed probes', 'share', 'Completions of probes that contain a text to avoid.'],
  ['guard/length', 'Excess length', 'share', 'Length beyond that of the first step, as a share of it.'],
  ['guard/repetition', 'Repetition', 'share', 'Share of n-grams that occurred earlier in the same completion.'],
  ['guard/sameness', 'Sameness', 'share', 'Share of n-grams that also occur in another completion.'],
  ['kl/beta', 'β', 'reward per nat', 'The cost of a nat of KL.'],
  ['gradient/norm', 'Norm of the gradient', 'norm', 'Before clipping, of all parameters together.'],
  ['learning_rate', 'Learning rate', 'rate', 'By the schedule.'],
];

/** The diagnosis of such a run: the one it stored, or one of the rows so far. */
export const diagnosePolicyRun = (folder: string): Diagnosis => diagnoseRun(folder, diagnosePolicySettings);

/** The report of a policy's training. @throws HeedError when the folder is not a run. */
export function policyReport(folder: string): Report {
  return reportRun(folder, ({ command: how, config, rows, samples }) => {
    const evaluated = rows.filter((row) => 'eval/reward' in row);
    const [first, last] = [evaluated[0], evaluated.at(-1)];
    const reached = (end: MetricsRow) => [
      { label: 'Reward', value: figure(end['eval/reward']), note: `from ${figure(first['eval/reward'])}` },
      { label: 'KL', value: figure(end['eval/kl']), note: 'nats per completion, from the reference' },
    ];
    return {
      how,
      summary: [...(last ? reached(last) : []), tokensFigure(rows, speed(folder, rows))],
      diagnosis: diagnosePolicyRun(folder),
      sections: [
        rewardChart(rows),
        ...frontier(evaluated),
        ...constraintCharts(rows, (config as Partial<PolicyTrainingOptions>).subjectTo),
        ...completionsTable(samples),
        ...alerts(samples),
        ...charts.flatMap(([metric, title, unit, caption]) =>
          linesOver(rows, title, unit, caption, [[title, metric]], STEPS),
        ),
      ],
    };
  });
}

/** Tokens of completions per second of the whole training: with its updates and evaluations, without pauses. */
function speed(folder: string, rows: readonly MetricsRow[]): string {
  const seconds = trainingSeconds(folder, rows);
  const tokens = rows.findLast((row) => 'tokens' in row)?.tokens ?? 0;
  return seconds > 0
    ? `of completions; ${count(tokens / seconds)} a second, updates and evaluations included`
    : 'of completions';
}

const rewardChart = (rows: readonly MetricsRow[]): LineChart => ({
  kind: 'lines',
  wide: true,
  title: 'Reward',
  caption: 'Mean reward of completions, before normalization.',
  xLabels: STEPS,
  yLabel: 'reward',
  series: seriesOf(rows, [
    ['training', 'reward/mean'],
    ['evaluation', 'eval/reward'],
  ]),
});

/** Reward against the square root of the KL, as Gao et al. (2022) draw it. */
function frontier(evaluated: readonly MetricsRow[]): LineChart[] {
  if (evaluated.length < 2) return [];
  return [
    {
      kind: 'lines',
      title: 'Reward and KL',
      caption: 'Over-optimization: the reward keeps rising while the true reward falls.',
      xLabels: ['√KL'],
      yLabel: 'reward',
      series: seriesOf(
        evaluated,
        [
          ['reward', 'eval/reward'],
          ['true reward', 'reward/true'],
        ],
        (row) => [Math.sqrt(Math.max(0, row['eval/kl']))],
      ),
    },
  ];
}

/** A chart for each constraint, and one of the multipliers. */
function constraintCharts(rows: readonly MetricsRow[], subjectTo: string | undefined): LineChart[] {
  if (subjectTo === undefined) return [];
  const constraints = parseConstraints(subjectTo);
  return [
    ...constraints.flatMap(({ name, sign, threshold }) => {
      const lines = [
        ['training', `constraint/${name}`],
        ['evaluation', `eval/${name}`],
      ] as const;
      const levels = [{ y: threshold, label: `${sign > 0 ? 'at least' : 'at most'} ${threshold}` }];
      const caption = 'The constraint applies to the mean over completions.';
      return linesOver(rows, `Subject to ${name}`, 'reward', caption, lines, STEPS).map((one) => ({ ...one, levels }));
    }),
    ...linesOver(
      rows,
      'Multipliers',
      'λ',
      'Weight of a standard deviation of the constrained reward, relative to one of the reward: it rises while the threshold is missed.',
      constraints.map(({ name }) => [name, `lambda/${name}`] as const),
      STEPS,
    ),
  ];
}

function alerts(samples: readonly { kind: string }[]): Section[] {
  const rows = samples.filter((sample): sample is AlertRow => sample.kind === 'alert');
  const caption = 'When a metric left its healthy range, what that usually means, and what to try.';
  return tableOf(
    'Alerts',
    ['step', 'what'],
    rows.map(({ step, text }) => [String(step), text]),
    caption,
  );
}
