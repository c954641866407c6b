/** heed constitution: revisions and comparisons by written principles. */
import type { Command } from 'commander';
import type { ConstitutionRun } from '../../align/constitution/train.ts';
import { comparisonTrainings } from '../../pipeline/trainings/comparisons.ts';
import { duration } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

export const addConstitution = (command: Command): void =>
  addTraining(command, 'constitution', comparisonTrainings.constitution, { summarize });

function summarize({ revisions, comparisons, seconds }: ConstitutionRun): [string, string][] {
  const without = (leftOut: Record<string, number>) =>
    Object.entries(leftOut).map(([why, count]) => `, ${count} skipped: ${why}`);
  return [
    ...(revisions
      ? [
          ['revisions', `${revisions.rows}, ${revisions.changed} with changes${without(revisions.leftOut).join('')}`],
          ['for heed sft', revisions.data],
        ]
      : []),
    ...(comparisons
      ? [
          ['comparisons', `${comparisons.rows}, ${comparisons.ties} ties${without(comparisons.leftOut).join('')}`],
          ['for heed dpo', comparisons.data],
        ]
      : []),
    ['time', duration(seconds)],
  ] as [string, string][];
}
