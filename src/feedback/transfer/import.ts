/** Imports datasets as items of a project, and exported judgments back into the store. Importing twice adds nothing. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { adopt, convertRow } from '../../data/convert.ts';
import { type DatasetRow, describeBadRow } from '../../data/dataset.ts';
import { readFileRows } from '../../data/file.ts';
import { detectFormat, type Format, faultOf } from '../../data/format.ts';
import { dataFiles } from '../../data/paths.ts';
import type { BadRow, Row } from '../../data/row.ts';
import { HeedError } from '../../error.ts';
import { addItems, itemIdOf, type NewItem } from '../items/items.ts';
import { recordDecision, recordJudgment } from '../items/record.ts';
import {
  type Content,
  contentSchema,
  type ItemKind,
  type Judgment,
  judgmentOrSkipSchema,
  type Option,
  optionCounts,
} from '../judgment.ts';
import { ensurePerson } from '../people.ts';
import type { Project } from '../project.ts';
import { atOnce, type Database } from '../store/database.ts';

/** Options of `importItems`. */
export interface ImportOptions {
  /** Whether the judgments in the file are right: its items become gold items. */
  gold?: boolean;
  /** Whether the items are gold items to practice on: they come first, with the right judgment afterwards. */
  practice?: boolean;
  /** Stop at a row that does not fit (default), or skip it. */
  onBadRow?: 'error' | 'skip';
  /** Called with a line of text for each row that is skipped. */
  onNotice?: (text: string) => void;
  /** Called after each transaction with the number of rows read. */
  onRows?: (rows: number) => void;
  /** Name of the annotator who made the judgments in the file. Without it they are ignored. */
  annotator?: string;
}

const whole = z.number().int();
/** Checks an `ImportResult`. */
export const importResultSchema = z.object({
  added: whole.describe('items that are new'),
  known: whole.describe('rows that the project already had'),
  votes: whole.describe('judgments that were recorded'),
  bad: whole.describe('rows that were left out'),
});
/** The result of an import. */
export type ImportResult = z.output<typeof importResultSchema>;

/** Rows of one transaction. */
const AT_ONCE = 500;

/**
 * Adds the rows of files as items: preferences, completions with or without a label, prompts, or `{prompt, options}`.
 * It reads what `heed feedback export --format votes` writes, judgments included. Rows are committed 500 at a time with
 * their judgments, so an import that broke off continues when it is repeated.
 *
 * @throws HeedError with file and line at the first row that does not fit the project, unless `onBadRow` is `skip`.
 */
export async function importItems(
  database: Database,
  project: Project,
  paths: readonly string[],
  { gold = false, practice = false, onBadRow = 'error', onNotice, onRows, annotator }: ImportOptions = {},
): Promise<ImportResult> {
  const total: ImportResult = { added: 0, known: 0, votes: 0, bad: 0 };
  let batch: ParsedRow[] = [];
  let rows = 0;
  const flush = async () => {
    const items = batch.map(({ item }) => item);
    await atOnce(database.query, async (query) => {
      const within = { ...database, query };
      const { added, known } = await addItems(within, project, items);
      total.added += added;
      total.known += known;
      total.votes += await addJudgments(within, project, batch, annotator);
    });
    batch = [];
    onRows?.(rows);
  };
  for (const file of dataFiles(paths)) {
    for await (const line of readFileRows(file)) {
      rows++;
      const row = 'value' in line ? checkedRow(line.value, project.settings.kind) : line;
      if ('reason' in row) {
        const bad: BadRow = { ...line, field: row.field, reason: row.reason };
        if (onBadRow === 'error') {
          throw new HeedError(describeBadRow(bad), {
            hint: 'Correct the row, or skip bad rows with --on-bad-row skip.',
          });
        }
        onNotice?.(describeBadRow(bad));
        total.bad++;
        continue;
      }
      const isGold = gold || practice;
      if (isGold && !row.judgment) {
        throw new HeedError(`"${file}", line ${line.line}: the row has no judgment to use as gold.`, {
          hint: 'Expected chosen and rejected, a label, or ranks.',
        });
      }
      const item = isGold ? { ...row.item, gold: row.judgment, practice } : row.item;
      batch.push({ ...row, item, judgment: isGold ? undefined : row.judgment });
      if (batch.length >= AT_ONCE) await flush();
    }
  }
  await flush();
  return total;
}

interface ParsedRow {
  item: NewItem;
  /** The judgment that the row itself states. */
  judgment?: Judgment;
  /** Judgments of an export. */
  records?: JudgmentRecord[];
}

/** A judgment in the export format `votes`. */
const judgmentRecord = z.object({
  id: z.string().default(''),
  person: z.string(),
  vote: judgmentOrSkipSchema,
  shown: z.array(z.number()).nullish(),
  duration: z.number().nullish(),
  time: z.number().nullish(),
  decision: z.boolean().optional(),
});
type JudgmentRecord = z.output<typeof judgmentRecord>;

type Fault = { field: string; reason: string };

/** Parses a row, and checks that what it shows can be drawn. */
function checkedRow(row: Row, kind: ItemKind): ParsedRow | Fault {
  const parsed = parseRow(row, kind);
  if ('reason' in parsed) return parsed;
  const { error } = contentSchema.safeParse(parsed.item.content);
  if (error) {
    const { path, message } = error.issues[0];
    const field = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
    return { field: field.slice(1), reason: message };
  }
  const [least, most] = optionCounts[kind];
  const { length } = parsed.item.content.options;
  if (length >= least && length <= most) return parsed;
  const expected = least === most ? `${least}` : `${least} to ${most}`;
  return { field: 'options', reason: `expected ${expected} options for a ${kind}, got ${length}` };
}

function parseRow(row: Row, kind: ItemKind): ParsedRow | Fault {
  const { source, topic, metadata } = row;
  const extra = {
    ...(typeof source === 'string' && { source }),
    ...(typeof topic === 'string' && { topic }),
    ...(typeof metadata === 'object' && metadata !== null && { metadata: metadata as Row }),
  };
  const listed = row.options ?? row.completions ?? row.responses;
  if (Array.isArray(listed) && row.labels === undefined) {
    const options = listed.map(optionOf);
    const missing = options.indexOf(undefined);
    if (missing >= 0) return { field: `options[${missing}]`, reason: 'is neither text, messages, a clip nor an image' };
    const content = contentOf(row.prompt, options as Option[]);
    const { gold, practice, ranks } = row;
    const records = row.votes ?? [];
    const wrong = Array.isArray(records) ? records.findIndex((one) => !judgmentRecord.safeParse(one).success) : 0;
    if (wrong >= 0) return { field: `votes[${wrong}]`, reason: 'is not a judgment by a person' };
    const judgment: Judgment | undefined =
      kind === 'ranking' && Array.isArray(ranks) ? { kind: 'ranking', ranks: ranks as number[] } : undefined;
    return {
      item: { content, ...extra, ...(gold ? { gold: gold as Judgment, practice: practice === true } : {}) },
      judgment,
      records: records as JudgmentRecord[],
    };
  }
  const formats = datasetFormats[kind];
  const format = detectFormat(row, formats);
  if (!format)
    return {
      field: '',
      reason: `does not fit a project of kind ${kind}: expected options, or the fields of ${formats.join(' or ')}`,
    };
  const fault = faultOf(row, format);
  if (fault) return fault;
  const [adopted] = convertRow(adopt(row, format), format, formats[0]);
  const parsed = itemFrom(adopted, kind);
  return { ...parsed, item: { ...parsed.item, ...extra } };
}

/** The dataset formats that items of each kind are made from; rows are converted to the first. */
const datasetFormats: Readonly<Record<ItemKind, readonly Format[]>> = {
  pair: ['preference', 'implicit-preference'],
  ranking: ['preference', 'implicit-preference'],
  rating: ['prompt-completion', 'unpaired-preference'],
  binary: ['unpaired-preference', 'prompt-completion'],
  correction: ['prompt-completion', 'unpaired-preference'],
  demonstration: ['prompt-only', 'prompt-completion'],
};

function itemFrom({ prompt, chosen, rejected, completion, label }: DatasetRow['value'], kind: ItemKind): ParsedRow {
  switch (kind) {
    case 'pair':
    case 'ranking': {
      const both = [chosen, rejected].map((completion) => optionOf(completion)!);
      // the first option of an imported pair must not always be the better one
      const swapped = hashOf([prompt, ...both]) % 2 === 1;
      const options = swapped ? both.toReversed() : both;
      const judgment: Judgment =
        kind === 'pair' ? { kind, choice: swapped ? 'second' : 'first' } : { kind, ranks: swapped ? [2, 1] : [1, 2] };
      return { item: { content: contentOf(prompt, options) }, judgment };
    }
    case 'demonstration':
      return { item: { content: contentOf(prompt, []) } };
    default: {
      const judgment: Judgment | undefined =
        kind === 'binary' && typeof label === 'boolean' ? { kind, good: label } : undefined;
      return { item: { content: contentOf(prompt, [optionOf(completion)!]) }, judgment };
    }
  }
}

const contentOf = (prompt: unknown, options: readonly Option[]): Content => ({
  ...(prompt !== undefined && prompt !== null && prompt !== '' && { prompt: prompt as Content['prompt'] }),
  options: [...options],
});

/** The option that a text, an assistant’s messages, a clip or an image is; undefined for anything else. */
function optionOf(value: unknown): Option | undefined {
  if (typeof value === 'string') return { kind: 'text', text: value };
  if (Array.isArray(value)) {
    const all = value as ({ content?: unknown; tool_calls?: unknown } | null)[];
    const texts = all.map((message) => (message?.tool_calls === undefined ? message?.content : undefined));
    if (texts.every((text) => typeof text === 'string')) return { kind: 'text', text: texts.join('\n\n') };
    // messages with images and calls of tools stay messages; the content's check says what is wrong with them
    return all.every((message) => message !== null && typeof message === 'object') && all.length > 0
      ? { kind: 'messages', messages: value }
      : undefined;
  }
  const { kind } = (value ?? {}) as { kind?: unknown };
  const kinds: unknown[] = ['text', 'clip', 'image', 'messages'];
  return kinds.includes(kind) ? (value as Option) : undefined;
}

const hashOf = (value: unknown): number => createHash('sha256').update(JSON.stringify(value)).digest().readUInt32LE(0);

/** Counts the rows of files, including bad ones, without keeping them in memory. */
export async function countRows(paths: readonly string[]): Promise<number> {
  let rows = 0;
  for (const file of dataFiles(paths)) for await (const _ of readFileRows(file)) rows++;
  return rows;
}

/** Records the judgments of rows; returns how many are new. */
async function addJudgments(
  database: Database,
  project: Project,
  rows: readonly ParsedRow[],
  annotator: string | undefined,
): Promise<number> {
  const people = new Map<string, string>();
  const idOf = async (name: string) => {
    if (!people.has(name)) people.set(name, (await ensurePerson(database, name, 'annotator')).id);
    return people.get(name)!;
  };
  let added = 0;
  for (const { item, judgment, records = [] } of rows) {
    const own = judgment && annotator !== undefined ? [{ id: '', person: annotator, vote: judgment }] : [];
    if (own.length + records.length === 0) continue;
    const itemId = await itemIdOf(database, project, item.content);
    for (const { person, vote, ...rest } of [...records, ...own] as JudgmentRecord[]) {
      const id = rest.id || `import-${hashOf([project.id, itemId, person])}-${itemId}`;
      const { shown, duration, time, decision } = rest;
      const before = await countRecords(database, id);
      await (decision ? recordDecision : recordJudgment)(
        database,
        project,
        await idOf(person),
        { id, item: itemId, vote, shown: shown ?? undefined, duration: duration ?? undefined },
        time ?? undefined,
      );
      added += 1 - before;
    }
  }
  return added;
}

async function countRecords({ query }: Database, id: string): Promise<number> {
  return (await query.selectFrom('votes').select('seq').where('id', '=', id).execute()).length;
}
