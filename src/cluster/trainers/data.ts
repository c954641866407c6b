/** The rows of a stage in the format of its trainer: JSON lines. */

import { holdOut } from '../../align/examples/examples.ts';
import { convertRow } from '../../data/convert.ts';
import { type DatasetOptions, readDataset } from '../../data/dataset.ts';
import type { Format } from '../../data/format.ts';
import { epochOrder } from '../../data/order.ts';
import { readForPrompts } from '../../data/prompts.ts';
import { placeInWords, type Row } from '../../data/row.ts';
import { HeedError } from '../../error.ts';
import { type PullOptions, resolveDataset } from '../../lm/hub.ts';
import type { JobSettings, TrainerCommand, TrainerName } from './trainer.ts';

/** Rows to write. */
export interface TrainerRows {
  train: Row[];
  /** Held-out rows; empty if there are none. */
  heldOut: Row[];
  /** Whether the rows are conversations; otherwise texts. */
  conversational: boolean;
}

/** Formats of rows that a trainer takes, and the columns that it gets. */
interface Reading extends Pick<DatasetOptions, 'accept' | 'prompted'> {
  to?: Format;
  fields: readonly string[];
}

const formats: Readonly<Record<TrainerCommand, Reading>> = {
  sft: {
    accept: ['prompt-completion', 'language-modeling'],
    fields: ['prompt', 'completion', 'messages', 'text', 'tools'],
  },
  reward: {
    accept: ['preference', 'implicit-preference'],
    to: 'preference',
    fields: ['prompt', 'chosen', 'rejected', 'tools'],
  },
  dpo: {
    accept: ['preference', 'implicit-preference'],
    to: 'preference',
    fields: ['prompt', 'chosen', 'rejected', 'tools'],
  },
  kto: {
    accept: ['unpaired-preference', 'preference', 'implicit-preference'],
    to: 'unpaired-preference',
    fields: ['prompt', 'completion', 'label', 'tools'],
  },
  grpo: { ...readForPrompts, fields: ['prompt'] },
  ppo: { ...readForPrompts, fields: ['prompt'] },
};

/**
 * Reads the data of a stage, and holds out a share of its prompts.
 *
 * @throws HeedError with the place of a row that the trainer cannot take, or if there are none.
 */
export async function trainerRows(
  on: TrainerName,
  job: JobSettings,
  { pull, onNotice }: { pull?: PullOptions; onNotice?: (text: string) => void } = {},
): Promise<TrainerRows> {
  const seed = job.get<number>('seed') ?? 0;
  const data = job.get<string>('data')!;
  const all = await rowsOf(on, data, job, { pull, onNotice });
  const other = job.get<string>('evaluation.data');
  const share = job.get<number>('evaluation.share') ?? 0;
  let [train, heldOut] = [all, other === undefined ? [] : await rowsOf(on, other, job, { pull, onNotice })];
  if (other === undefined && share > 0) {
    const keys = all.map(keyOf);
    const different = [...new Set(keys)];
    const held = new Set(holdOut(different.length, share, seed).held.map((i) => different[i]));
    train = all.filter((_, i) => !held.has(keys[i]));
    heldOut = all.filter((_, i) => held.has(keys[i]));
  }
  const conversational = Array.isArray(wordsOf(all[0]));
  if (on === 'verl' && !conversational) {
    throw new HeedError(`"${data}": verl accepts only conversations, but its prompts are texts.`, {
      hint: 'Give prompts such as [{"role": "user", "content": "…"}].',
    });
  }
  if (on === 'trl') return { train, heldOut, conversational };
  const count = job.get<number>('steps')! * job.get<number>('batch')!;
  return {
    train: forSteps(train, count, seed).map((row) => (on === 'verl' ? inVerl(row) : row)),
    heldOut: [],
    conversational,
  };
}

/** As many prompts as the steps take: epochs, each in another order. */
function forSteps(rows: readonly Row[], count: number, seed: number): Row[] {
  const taken: Row[] = [];
  for (let epoch = 0; taken.length < count; epoch++)
    for (const i of epochOrder(rows.length, seed, epoch)) if (taken.length < count) taken.push(rows[i]);
  return taken;
}

const inVerl = ({ prompt, row }: Row): Row => ({
  data_source: 'heed',
  prompt,
  reward_model: { style: 'model', ground_truth: '' },
  extra_info: { row },
});

async function rowsOf(
  on: TrainerName,
  name: string,
  job: JobSettings,
  { pull, onNotice }: { pull?: PullOptions; onNotice?: (text: string) => void },
): Promise<Row[]> {
  const { to, fields, ...reading } = formats[job.command];
  const onPolicy = job.command === 'grpo' || job.command === 'ppo';
  const rows: Row[] = [];
  let [ties, skipped] = [0, 0];
  const found = readDataset(await resolveDataset(name, pull), {
    ...reading,
    name,
    onBadRow: job.get<'error'>('onBadRow'),
    onSkip: () => skipped++,
  });
  for await (const { value, format, ...place } of found) {
    if (value.tie === true) {
      ties++;
      continue;
    }
    if (value.weight !== undefined && value.weight !== 1) {
      throw new HeedError(
        `${placeInWords(place)}: weight: ${on} has no weights of rows, got ${JSON.stringify(value.weight)}.`,
      );
    }
    for (const row of to && to !== format ? convertRow(value, format, to) : [value]) {
      const kept = Object.fromEntries(
        fields.flatMap((field) => (row[field] === undefined ? [] : [[field, row[field]]])),
      );
      const isFirst = rows.length === 0;
      if (!isFirst && shapeOf(kept) !== shapeOf(rows[0])) {
        throw new HeedError(
          `${placeInWords(place)}: the row has ${shapeOf(kept)}: expected ${shapeOf(rows[0])}, as in the first.`,
          {
            hint: `${on} accepts only rows of one kind. Convert them with "heed data convert".`,
          },
        );
      }
      rows.push(onPolicy ? { ...kept, row: JSON.stringify(row) } : kept);
    }
  }
  if (ties > 0) onNotice?.(`"${name}": left out ${ties} ties`);
  if (skipped > 0) onNotice?.(`"${name}": left out ${skipped} bad rows`);
  if (rows.length > 0) return rows;
  throw new HeedError(`"${name}" has no rows that ${on} could learn from.`);
}

/** The fields of a row and their kinds, which a trainer's columns share. */
const shapeOf = (row: Row) =>
  Object.entries(row)
    .filter(([name]) => name !== 'row')
    .map(([name, value]) => `${name} (${Array.isArray(value) ? 'messages' : typeof value})`)
    .join(', ');

const wordsOf = (row: Row) => row.prompt ?? row.messages ?? row.text;
const keyOf = (row: Row) => JSON.stringify(wordsOf(row));
