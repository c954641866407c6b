/** The record of revisions and comparisons by written principles. */
import { duration } from '../../run/progress.ts';
import { named, opened, type TrainingRecord } from '../../run/training-record.ts';
import { type ConstitutionStep, constitutionSchema, createConstitution } from './constitution.ts';
import { constitutionReport } from './report.ts';
import { constitutionMetrics } from './rows.ts';
import { type ConstitutionRun, trainConstitution } from './train.ts';

export const constitution: TrainingRecord = {
  name: 'constitution',
  ...opened(constitutionSchema, createConstitution),
  about: named.about,
  train: trainConstitution,
  report: constitutionReport,
  summarize,
  live: (step: ConstitutionStep) => constitutionMetrics(step),
  shares: ['revisions/changed', 'comparisons/ties', 'rows/left_out'],
  product: 'a dataset',
  path: 'comparisons.jsonl',
};

function summarize({ revisions, comparisons, seconds }: ConstitutionRun): [string, string][] {
  const without = (leftOut: Record<string, number>) =>
    Object.entries(leftOut)
      .map(([why, count]) => `, ${count} skipped: ${why}`)
      .join('');
  const rows: [string, string][] = [];
  if (revisions) {
    rows.push(['revisions', `${revisions.rows}, ${revisions.changed} with changes${without(revisions.leftOut)}`]);
    rows.push(['for heed sft', revisions.data]);
  }
  if (comparisons) {
    rows.push(['comparisons', `${comparisons.rows}, ${comparisons.ties} ties${without(comparisons.leftOut)}`]);
    rows.push(['for heed dpo', comparisons.data]);
  }
  return [...rows, ['time', duration(seconds)]];
}
