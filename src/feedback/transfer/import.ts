/** Datasets as items of a project, and recorded votes back into the store. What is imported twice is there once. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { readFileRows } from '../../data/file.ts';
import {
  adopt,
  type BadRow,
  convertRow,
  type DatasetRow,
  dataFiles,
  detectFormat,
  type Format,
  faultOf,
  type Row,
  tellBadRow,
} from '../../data/index.ts';
import { HeedError } from '../../error.ts';
import { addItems, keyOf, type NewItem } from '../items/items.ts';
import { recordVote } from '../items/record.ts';
import { type Answer, type Content, type Kind, type Option, voteSchema } from '../judgment.ts';
import { ensurePerson } from '../people.ts';
import type { Project } from '../project.ts';
import type { Database } from '../store/database.ts';

export interface ImportOptions {
  /** The file's own answers are right: its items tell how reliable people are. */
  gold?: boolean;
  /** Gold that comes first, and is told afterwards. */
  practice?: boolean;
  onBadRow?: 'error' | 'skip';
  tell?: (text: string) => void;
  /** Told how many rows are kept, or left out, after each part. */
  onRows?: (rows: number) => void;
  /** Of whom the answers in the file are, which are then votes. */
  votesOf?: string;
}

export interface Imported {
  added: number;
  /** Rows whose content was there already. */
  known: number;
  votes: number;
  bad: number;
}

/** Rows of one transaction. */
const AT_ONCE = 500;

/**
 * Rows of files as items: preferences, answers with or without a rating, prompts, or `{prompt, options}`; `heed feedback export --format votes` writes
 * what this reads back, votes and all. Rows and their votes are kept some hundred at a time, all of them or none: an import that was broken off goes
 * on where it is repeated.
 *
 * @throws HeedError at the first row that does not fit the project, with its file and line, unless told to skip them.
 */
export async function importItems(
  database: Database,
  project: Project,
  paths: readonly string[],
  { gold = false, practice = false, onBadRow = 'error', tell, onRows, votesOf }: ImportOptions = {},
): Promise<Imported> {
  const total: Imported = { added: 0, known: 0, votes: 0, bad: 0 };
  let waiting: Read[] = [];
  let rows = 0;
  const flush = async () => {
    const items = waiting.map(({ item }) => item);
    await database.query.transaction().execute(async (query) => {
      const within = { ...database, query };
      const { added, known } = await addItems(within, project, items);
      total.added += added;
      total.known += known;
      total.votes += await addVotes(within, project, waiting, votesOf);
    });
    waiting = [];
    onRows?.(rows);
  };
  for (const file of dataFiles(paths)) {
    for await (const found of readFileRows(file)) {
      rows++;
      const read = 'value' in found ? readRow(found.value, project.settings.kind) : found;
      if ('reason' in read) {
        const bad: BadRow = { ...found, field: read.field, reason: read.reason };
        if (onBadRow === 'error') {
          throw new HeedError(tellBadRow(bad), {
            hint: 'Correct the row, or leave such rows out with --on-bad-row skip.',
          });
        }
        tell?.(tellBadRow(bad));
        total.bad++;
        continue;
      }
      const known = gold || practice;
      if (known && !read.answer) {
        throw new HeedError(`"${file}", line ${found.line}: there is no answer in it.`, {
          hint: 'Known answers are the chosen of two, a label, or ranks.',
        });
      }
      const item = known ? { ...read.item, gold: read.answer, practice } : read.item;
      waiting.push({ ...read, item, answer: known ? undefined : read.answer });
      if (waiting.length >= AT_ONCE) await flush();
    }
  }
  await flush();
  return total;
}

interface Read {
  item: NewItem;
  /** What the row itself says of it. */
  answer?: Answer;
  votes?: RecordedVote[];
}

/** A vote as `votes` files have it. */
const recordedVote = z.object({
  id: z.string().default(''),
  person: z.string(),
  vote: voteSchema,
  shown: z.array(z.number()).nullish(),
  duration: z.number().nullish(),
  time: z.number().nullish(),
});
type RecordedVote = z.output<typeof recordedVote>;

type Fault = { field: string; reason: string };

function readRow(row: Row, kind: Kind): Read | Fault {
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
    if (missing >= 0) return { field: `options[${missing}]`, reason: 'is neither text nor a clip' };
    const content = contentOf(row.prompt, options as Option[]);
    const { gold, practice, ranks } = row;
    const votes = row.votes ?? [];
    const wrong = Array.isArray(votes) ? votes.findIndex((one) => !recordedVote.safeParse(one).success) : 0;
    if (wrong >= 0) return { field: `votes[${wrong}]`, reason: 'is no vote of a person' };
    const answer: Answer | undefined =
      kind === 'ranking' && Array.isArray(ranks) ? { kind: 'ranking', ranks: ranks as number[] } : undefined;
    return {
      item: { content, ...extra, ...(gold ? { gold: gold as Answer, practice: practice === true } : {}) },
      answer,
      votes: votes as RecordedVote[],
    };
  }
  const wanted = formatsOf[kind];
  const format = detectFormat(row, wanted);
  if (!format)
    return {
      field: '',
      reason: `is nothing to ask as a ${kind}: expected options, or the fields of ${wanted.join(' or ')}`,
    };
  const fault = faultOf(row, format);
  if (fault) return fault;
  const [adopted] = convertRow(adopt(row, format), format, wanted[0]);
  const read = itemFrom(adopted, kind);
  return { ...read, item: { ...read.item, ...extra } };
}

/** What of datasets can be asked about; the first is what the others become. */
const formatsOf: Readonly<Record<Kind, readonly Format[]>> = {
  pair: ['preference', 'implicit-preference'],
  ranking: ['preference', 'implicit-preference'],
  rating: ['prompt-completion', 'unpaired-preference'],
  binary: ['unpaired-preference', 'prompt-completion'],
  correction: ['prompt-completion', 'unpaired-preference'],
  demonstration: ['prompt-only', 'prompt-completion'],
};

function itemFrom({ prompt, chosen, rejected, completion, label }: DatasetRow['value'], kind: Kind): Read {
  switch (kind) {
    case 'pair':
    case 'ranking': {
      const both = [chosen, rejected].map((answer) => optionOf(answer)!);
      // of imported pairs the first must not always be the better
      const swapped = hashOf([prompt, ...both]) % 2 === 1;
      const options = swapped ? both.toReversed() : both;
      const answer: Answer =
        kind === 'pair' ? { kind, choice: swapped ? 'second' : 'first' } : { kind, ranks: swapped ? [2, 1] : [1, 2] };
      return { item: { content: contentOf(prompt, options) }, answer };
    }
    case 'demonstration':
      return { item: { content: contentOf(prompt, []) } };
    default: {
      const answer: Answer | undefined =
        kind === 'binary' && typeof label === 'boolean' ? { kind, good: label } : undefined;
      return { item: { content: contentOf(prompt, [optionOf(completion)!]) }, answer };
    }
  }
}

const contentOf = (prompt: unknown, options: readonly Option[]): Content => ({
  ...(prompt !== undefined && prompt !== null && prompt !== '' && { prompt: prompt as Content['prompt'] }),
  options: [...options],
});

/** Text, messages of an assistant, or a clip. */
function optionOf(value: unknown): Option | undefined {
  if (typeof value === 'string') return { kind: 'text', text: value };
  if (Array.isArray(value)) {
    const texts = value.map((message) => (message as { content?: unknown } | null)?.content);
    return texts.every((text) => typeof text === 'string') ? { kind: 'text', text: texts.join('\n\n') } : undefined;
  }
  const { kind } = (value ?? {}) as { kind?: unknown };
  return kind === 'text' || kind === 'clip' ? (value as Option) : undefined;
}

const hashOf = (value: unknown): number => createHash('sha256').update(JSON.stringify(value)).digest().readUInt32LE(0);

/** Rows of files, bad ones too, without keeping any. */
export async function countRows(paths: readonly string[]): Promise<number> {
  let rows = 0;
  for (const file of dataFiles(paths)) for await (const _ of readFileRows(file)) rows++;
  return rows;
}

/** Votes that the rows hold; sent again, they are the same votes. */
async function addVotes(
  database: Database,
  project: Project,
  reads: readonly Read[],
  votesOf: string | undefined,
): Promise<number> {
  const people = new Map<string, string>();
  const idOf = async (name: string) => {
    if (!people.has(name)) people.set(name, (await ensurePerson(database, name, 'annotator')).id);
    return people.get(name)!;
  };
  let added = 0;
  for (const { item, answer, votes = [] } of reads) {
    const own = answer && votesOf !== undefined ? [{ id: '', person: votesOf, vote: answer }] : [];
    if (own.length + votes.length === 0) continue;
    const id = await itemIdOf(database, project, item);
    for (const { person, vote, ...rest } of [...votes, ...own] as RecordedVote[]) {
      const of = rest.id || `import-${hashOf([project.id, id, person])}-${id}`;
      const { shown, duration, time } = rest;
      const before = await countVotes(database, of);
      await recordVote(
        database,
        project,
        await idOf(person),
        { id: of, item: id, vote, shown: shown ?? undefined, duration: duration ?? undefined },
        time ?? undefined,
      );
      added += 1 - before;
    }
  }
  return added;
}

/** Of an item that is there. */
export async function itemIdOf({ query }: Database, { id: project }: Project, { content }: NewItem): Promise<string> {
  const { id } = await query
    .selectFrom('items')
    .select('id')
    .where('project', '=', project)
    .where('key', '=', keyOf(content))
    .executeTakeFirstOrThrow();
  return id;
}

async function countVotes({ query }: Database, id: string): Promise<number> {
  return (await query.selectFrom('votes').select('seq').where('id', '=', id).execute()).length;
}
