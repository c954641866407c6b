/**
 * Reads and writes TRL's datasets: preferences with an explicit or implicit prompt, unpaired preferences, prompts with
 * completions, and prompts, each standard or conversational, in JSONL or Parquet.
 */
import { convertRow } from '../../data/convert.ts';
import { readFileRows } from '../../data/file.ts';
import { detectFormat, type Format, faultOf, formatRead } from '../../data/format.ts';
import { dataFiles } from '../../data/paths.ts';
import type { Row } from '../../data/row.ts';
import { HeedError } from '../../error.ts';
import type { ItemKind } from '../judgment.ts';
import type { LeftOut } from './left-out.ts';
import type { ImportDefaults, OpenImport } from './tools.ts';

/** The kinds that rows of a format become; the first is the default. */
const KINDS: Partial<Record<Format, readonly ItemKind[]>> = {
  preference: ['pair', 'ranking'],
  'implicit-preference': ['pair', 'ranking'],
  'unpaired-preference': ['binary', 'rating', 'correction'],
  'prompt-completion': ['demonstration', 'binary', 'rating', 'correction'],
  'language-modeling': ['demonstration'],
  'prompt-only': ['demonstration'],
};

/**
 * Opens a dataset of TRL. Its labels become judgments of one person: rows do not say whose they are.
 *
 * @throws HeedError if the first row has none of the formats, or no such kind of project.
 */
export async function openTrl(path: string, { settings = {}, annotator = 'trl' }: ImportDefaults): Promise<OpenImport> {
  const files = dataFiles(path);
  const kind = await kindOf(files, settings.kind);
  return {
    guidelines: '',
    parts: [
      {
        suffix: '',
        settings: { kind },
        annotator,
        async *rows(left) {
          for (const file of files) {
            for await (const found of readFileRows(file)) {
              left.next();
              if ('reason' in found) {
                yield found;
                continue;
              }
              const value = withMetadata(demonstrated(found.value, kind, left), SCORES);
              if (value !== found.value && SCORES.some((name) => name in value)) left.add('scores, kept as metadata');
              yield { ...found, value };
            }
          }
        },
      },
    ],
  };
}

/** Columns in which TRL and the datasets on the Hub have scores of completions. */
const SCORES = ['score_chosen', 'score_rejected', 'margin'];

/** For demonstrations: a conversation as a prompt and what was written to it. Calls of tools are no text to write. */
export function demonstrated(row: Row, kind: ItemKind, left: LeftOut): Row {
  if (kind !== 'demonstration') return row;
  const isConversation = Array.isArray(row.messages) && faultOf(row, 'language-modeling') === undefined;
  const [value] = isConversation ? convertRow(row, 'language-modeling', 'prompt-completion') : [row];
  if (!value) return { ...row, messages: undefined, prompt: row.messages }; // nobody has written to it yet
  const { completion } = value;
  if (
    Array.isArray(completion) &&
    completion.some((message) => typeof message?.content !== 'string' || message.tool_calls)
  ) {
    left.add('completions with images or calls of tools, which a demonstration cannot be');
  }
  return value;
}

/** A row with some of its columns in its metadata. */
export function withMetadata(row: Row, columns: readonly string[]): Row {
  const moved = Object.fromEntries(columns.flatMap((name) => (row[name] === undefined ? [] : [[name, row[name]]])));
  if (Object.keys(moved).length === 0) return row;
  return { ...row, metadata: { ...(row.metadata as object | undefined), ...moved } };
}

async function kindOf(files: readonly string[], wanted: ItemKind | undefined): Promise<ItemKind> {
  for (const file of files) {
    for await (const found of readFileRows(file)) {
      if (!('value' in found)) continue;
      const format = detectFormat(found.value);
      const kinds = format && KINDS[formatRead(format)];
      if (!kinds) {
        throw new HeedError(
          `"${file}", line ${found.line}: expected a row of TRL's formats, got the columns ${Object.keys(found.value).join(', ')}.`,
          { hint: 'It accepts chosen and rejected; prompt, completion and label; prompt and completion; or prompt.' },
        );
      }
      if (wanted === undefined || kinds.includes(wanted)) return wanted ?? kinds[0];
      throw new HeedError(`--kind: rows of the format ${format} cannot become a project of kind ${wanted}.`, {
        hint: `They can become ${kinds.join(', ')}.`,
      });
    }
  }
  throw new HeedError(`"${files.join(', ')}" has no rows.`);
}
