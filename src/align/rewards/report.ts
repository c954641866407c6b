/** The report of a reward's evaluation. */

import { percent } from '../../percent.ts';
import type { Report, Section } from '../../run/report.ts';
import { readInfo, readSamples } from '../../run/run.ts';
import type { Drift } from '../reward-model/evaluation.ts';
import { evaluationSections, summaryOf } from '../reward-model/report.ts';
import type { JudgmentRow } from './judge-reward.ts';

/** The report of `heed eval reward`. @throws HeedError when the folder is not the run of one. */
export function evaluationReport(folder: string): Report {
  const { name, config, started } = readInfo(folder);
  const { judgment } = readSamples(folder).at(-1) as unknown as JudgmentRow;
  const { evaluation, drift, disagreement } = judgment;
  return {
    title: name,
    subtitle: `evaluation of a reward model, ${started.slice(0, 16).replace('T', ' ')} UTC`,
    summary: [
      ...summaryOf(evaluation, 'Accuracy'),
      ...(disagreement === undefined
        ? []
        : [
            {
              label: 'Disagreement',
              value: disagreement.toFixed(2),
              note: 'standard deviation of the members’ rewards',
            },
          ]),
    ],
    sections: [...evaluationSections(evaluation), ...(drift ? [driftTable(drift)] : [])],
    config: config as Record<string, unknown>,
  };
}

function driftTable({ reference, policy, shift, outside }: Drift): Section {
  const row = (name: string, { mean, deviation, length }: Drift['policy']) => [
    name,
    mean.toFixed(2),
    deviation.toFixed(2),
    length.toFixed(0),
  ];
  return {
    kind: 'table',
    title: 'Drift',
    caption: `The policy's mean reward is ${shift.toFixed(1)} standard deviations from the reference's, and ${percent(outside)} of its rewards are outside the central 98 % of the reference's. The larger the drift, the less the accuracy on comparisons applies.`,
    columns: ['completions of', 'mean reward', 'standard deviation', 'tokens'],
    rows: [row('the reference', reference), row('the policy', policy)],
  };
}
