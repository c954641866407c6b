/** The record of revisions and comparisons by written principles. */

import { writeDataset } from '../../data/write.ts';
import { join } from '../../node.ts';
import { driveRun, type TrainParts } from '../../run/drive.ts';
import { duration } from '../../run/progress.ts';
import { named, opened, type TrainingRecord } from '../../run/training-record.ts';
import {
  type Constitution,
  type ConstitutionOptions,
  type ConstitutionStep,
  constitutionSchema,
  createConstitution,
} from './constitution.ts';
import { constitutionReport } from './report.ts';
import {
  type ConstitutionRow,
  comparisonRows,
  constitutionMetrics,
  isChanged,
  isTie,
  leftOutOf,
  readMade,
  revisionPairs,
  revisionRows,
} from './rows.ts';

/** A dataset: its path, its number of rows, and how many completions or pairs were left out, by reason. */
interface MadeDataset {
  data: string;
  rows: number;
  leftOut: Record<string, number>;
}

/** The result of `trainConstitution`. */
export interface ConstitutionRun {
  /** The run's folder. */
  run: string;
  /** The dataset for heed sft; `changed` counts the revisions that differ from the completion. */
  revisions?: MadeDataset & { changed: number };
  /** The dataset for heed reward and heed dpo; `ties` counts the pairs in which neither completion is better. */
  comparisons?: MadeDataset & { ties: number };
  /** Steps taken, a batch of prompts each. */
  steps: number;
  /** Seconds that the run took. */
  seconds: number;
}

/**
 * Runs `constitution` in a run's folder, with a checkpoint after each step, so that no work is done twice. However it
 * ends, the datasets have all rows so far. Returns undefined when the signal stops it.
 */
export async function trainConstitution(
  maker: Constitution,
  parts: TrainParts<ConstitutionStep>,
): Promise<ConstitutionRun | undefined> {
  const { run } = parts;
  let result: { run: string; steps: number; seconds: number } | undefined;
  let made: Awaited<ReturnType<typeof writeMade>>;
  try {
    result = await driveRun(maker, {
      ...parts,
      checkpointSeconds: 0,
      before: () => ({}),
      record({ step, revised, compared }) {
        for (const row of revised) run.sample({ kind: 'revision', step, ...row } satisfies ConstitutionRow);
        for (const row of compared) run.sample({ kind: 'comparison', step, ...row } satisfies ConstitutionRow);
        return constitutionMetrics({ revised, compared });
      },
      result: ({ step }, seconds) => ({ run: run.folder, steps: step, seconds }),
    });
  } finally {
    made = await writeMade(run.folder, maker.options);
  }
  return result && { ...result, ...made };
}

async function writeMade(
  folder: string,
  { part, revisionPairs: withRevisions }: ConstitutionOptions,
): Promise<Pick<ConstitutionRun, 'revisions' | 'comparisons'>> {
  const made = readMade(folder);
  const write = async (name: string, rows: Parameters<typeof writeDataset>[1]) => {
    const data = join(folder, `${name}.jsonl`);
    return { data, rows: await writeDataset(data, rows) };
  };
  const { revised, compared } = made;
  return {
    ...(part !== 'comparisons' && {
      revisions: {
        ...(await write('revisions', revisionRows(made))),
        changed: revised.filter(isChanged).length,
        leftOut: leftOutOf(revised),
      },
    }),
    ...((part !== 'revisions' || withRevisions) && {
      comparisons: {
        ...(await write('comparisons', [...(withRevisions ? revisionPairs(made) : []), ...comparisonRows(made)])),
        ties: compared.filter(isTie).length,
        leftOut: leftOutOf(compared),
      },
    }),
  };
}

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
