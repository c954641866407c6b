/** The report of a policy's training, from what its folder holds. */
import {
  type LineChart,
  type MetricsRow,
  type Report,
  readInfo,
  readMetrics,
  readSamples,
  type Section,
} from '../../run/index.ts';
import { count, figure } from '../../run/progress.ts';
import { elapsed, linesOver, seriesOf, subtitle } from '../../run/report-parts.ts';
import { answersTable } from '../training/samples.ts';
import { parseConstraints } from './constraints.ts';
import type { PolicyTrainingOptions } from './options.ts';
import type { AlertRow } from './train.ts';

const STEPS = ['steps'];

/** Charts of what a training may tell, in this order: metric, title, unit, caption. */
const charts: [metric: string, title: string, unit: string, caption: string][] = [
  ['kl/mean', 'KL from the reference', 'nats an answer', 'Mean log π − log π_ref of the answers learned from.'],
  [
    'reward/true',
    'True reward',
    'reward',
    'Of the evaluations’ answers; nothing was learned from it unless it is the reward.',
  ],
  ['reward/gold', 'Second reward', 'reward', 'Of the evaluations’ answers; nothing was learned from it.'],
  [
    'reward/disagreement',
    'Disagreement',
    'reward',
    'Deviation of the ensemble’s members on an answer: high where they were not taught.',
  ],
  ['text/accepted', 'Well-formed sentences', 'share', 'Share of the answers’ sentences that the grammar knows.'],
  [
    'text/good',
    'Good sentences',
    'share',
    'Well formed, about the place asked for, finding no fault, and not said before.',
  ],
  ['policy/entropy', 'Entropy', 'nats a token', 'How undecided the policy is: low where it writes the same each time.'],
  ['response/length', 'Length', 'tokens', 'Mean of the answers learned from.'],
  ['response/eos_rate', 'Answers that end', 'share', 'The others were cut.'],
  ['policy/clip_fraction', 'Clipped', 'share', 'Tokens whose ratio went further than is trusted.'],
  [
    'value/explained_var',
    'Explained variance',
    'share',
    'Of the returns, by the critic: 1 foresees them, 0 does no better than their mean.',
  ],
  ['labels', 'Answers of people', 'answers', 'Comparisons of the policy’s own answers that the reward had learned.'],
  [
    'reward/accuracy',
    'Foreseen',
    'share',
    'Of the answers of people so far, those that the reward expected when it asked.',
  ],
  ['probe/failed', 'Failed probes', 'share', 'Answers to probes that say what they are to avoid.'],
  ['guard/length', 'Excess length', 'share', 'Of an answer beyond the first step’s, as a share of theirs.'],
  ['guard/repetition', 'Repetition', 'share', 'Of an answer’s n-grams, those that it has had before.'],
  ['guard/sameness', 'Sameness', 'share', 'Of an answer’s n-grams, those that another answer has too.'],
  ['kl/beta', 'β', 'reward a nat', 'What a nat of KL costs.'],
  ['gradient/norm', 'Norm of the gradient', 'norm', 'Before clipping, of all parameters together.'],
  ['learning_rate', 'Learning rate', 'rate', 'What the schedule gave each step.'],
];

/** Throws a HeedError where the folder is not a run. */
export function policyReport(folder: string): Report {
  const { name, command, config, seed, started } = readInfo(folder);
  const rows = readMetrics(folder);
  const samples = readSamples(folder) as { kind: string }[];
  const evaluated = rows.filter((row) => 'eval/reward' in row);
  const [first, last] = [evaluated[0], evaluated.at(-1)];
  return {
    title: name,
    subtitle: subtitle(started, command, seed),
    summary: [
      ...(last
        ? [
            { label: 'Reward', value: figure(last['eval/reward']), note: `from ${figure(first['eval/reward'])}` },
            { label: 'KL', value: figure(last['eval/kl']), note: 'nats an answer from the reference' },
          ]
        : []),
      { label: 'Tokens', value: count(rows.findLast((row) => 'tokens' in row)?.tokens ?? 0), note: speed(rows) },
      { label: 'Time', value: elapsed(rows) },
    ],
    sections: [
      rewardChart(rows),
      ...frontier(evaluated),
      ...constraintCharts(rows, (config as Partial<PolicyTrainingOptions>).subjectTo),
      ...answersTable(samples),
      ...alerts(samples),
      ...charts.flatMap(([metric, title, unit, caption]) =>
        linesOver(rows, title, unit, caption, [[title, metric]], STEPS),
      ),
    ],
    config: config as Record<string, unknown>,
  };
}

/** Of wall time, evaluations and pauses included. */
function speed(rows: readonly MetricsRow[]): string {
  const [first, last] = [rows[0], rows.at(-1)];
  const seconds = last && first ? last.time - first.time : 0;
  return seconds > 0 ? `of answers, ${count((last!.tokens ?? 0) / seconds)} a second` : 'of answers';
}

const rewardChart = (rows: readonly MetricsRow[]): LineChart => ({
  kind: 'lines',
  wide: true,
  title: 'Reward',
  caption: 'What the answers are worth on average, before it is normalized.',
  xLabels: STEPS,
  yLabel: 'reward',
  series: seriesOf(rows, [
    ['answers learned from', 'reward/mean'],
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
      caption: 'A reward that is not the true one goes on rising where the true one turns.',
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

/** What is to hold, a chart each, and the multipliers that see to it. */
function constraintCharts(rows: readonly MetricsRow[], subjectTo: string | undefined): LineChart[] {
  if (subjectTo === undefined) return [];
  const constraints = parseConstraints(subjectTo);
  return [
    ...constraints.flatMap(({ name, sign, threshold }) => {
      const lines = [
        ['answers learned from', `constraint/${name}`],
        ['evaluation', `eval/${name}`],
      ] as const;
      const levels = [{ y: threshold, label: `${sign > 0 ? 'at least' : 'at most'} ${threshold}` }];
      const caption = 'The mean over answers is what is to keep to the line.';
      return linesOver(rows, `Subject to ${name}`, 'reward', caption, lines, STEPS).map((of) => ({ ...of, levels }));
    }),
    ...linesOver(
      rows,
      'Multipliers',
      'λ',
      'What a deviation of a constrained reward counts for, beside one of the reward: it rises as long as a threshold is missed.',
      constraints.map(({ name }) => [name, `lambda/${name}`] as const),
      STEPS,
    ),
  ];
}

function alerts(samples: readonly { kind: string }[]): Section[] {
  const told = samples.filter((sample): sample is AlertRow => sample.kind === 'alert');
  if (told.length === 0) return [];
  return [
    {
      kind: 'table',
      title: 'Alerts',
      caption: 'When a metric left its healthy range, what that usually means, and what to try.',
      columns: ['step', 'what'],
      rows: told.map(({ step, text }) => [String(step), text]),
    },
  ];
}
