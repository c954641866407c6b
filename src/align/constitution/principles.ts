/**
 * A constitution: principles by which answers are criticized, revised and compared. A file of them is JSON or a list in Markdown or plain
 * text; docs/reference/constitution.md shows both.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { HeedError, messageOf } from '../../error.ts';
import { fileError } from '../../files.ts';

export interface Principle {
  /** A sentence that says what an answer is to be. */
  text: string;
  /** What the critic is asked: to say where an answer departs from the principle, */
  critique: string;
  /** and to write it again. */
  revision: string;
}

const HINT =
  'A principle is a sentence, such as "Answers are kind."; it may have a request for critique and one for revision.';

/** @throws HeedError where the file cannot be read, has no principles, or one without text. */
export function readConstitution(path: string): Principle[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError(error, 'read', path);
  }
  const principles = path.endsWith('.json') ? fromJson(text, path) : fromList(text);
  if (principles.length === 0) throw new HeedError(`"${path}" has no principles.`, { hint: HINT });
  return principles.map((principle, i) => {
    try {
      return complete(principle);
    } catch (cause) {
      throw new HeedError(`"${path}": principle ${i + 1} ${messageOf(cause)}.`, { hint: HINT, cause });
    }
  });
}

type Given = Partial<Principle>;

/** A principle with all that it is used for. Throws a HeedError for one without text. */
function complete({ text, critique, revision }: Given): Principle {
  const given = [text, critique, revision].map((part) => part?.trim());
  const said = given[0] || (given[1] && given[2] ? given[1] : undefined);
  if (!said) throw new HeedError('has no text', { hint: HINT });
  return {
    text: said,
    critique:
      given[1] ||
      `Look at your last answer by this principle: ${said}\nSay in a few sentences where it departs from the principle, with the words that do. If it departs nowhere, say so.`,
    revision:
      given[2] ||
      `Write the answer again so that it keeps to the principle: ${said}\nLeave what is good as it is, and write the answer alone.`,
  };
}

const principleSchema = z.union([
  z.string().transform((text): Given => ({ text })),
  z
    .strictObject({
      principle: z.string().optional(),
      critique: z.string().optional(),
      revision: z.string().optional(),
    })
    .transform(({ principle: text, ...requests }): Given => ({ text, ...requests })),
]);
const fileSchema = z.union([
  z.array(principleSchema),
  z.strictObject({ principles: z.array(principleSchema) }).transform(({ principles }) => principles),
]);

function fromJson(text: string, path: string): Given[] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new HeedError(`"${path}" is not JSON: ${messageOf(error)}.`, { hint: HINT });
  }
  const { success, data } = fileSchema.safeParse(content);
  if (success) return data;
  throw new HeedError(
    `"${path}" is not a constitution: expected a list of texts and of {"principle", "critique", "revision"}, texts all.`,
    { hint: HINT },
  );
}

const ITEM = /^ {0,3}(?:[-*+]|\d+[.)])(?:\s+(.*))?$/;
const REQUEST = /^\s*(?:[-*+]\s+)?(critique|revision)\s*:\s*(.*)$/i;

/** The items of a list, with what is indented below them; without a list, every line that is no heading. */
function fromList(text: string): Given[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (!lines.some((line) => ITEM.test(line))) {
    return lines.filter((line) => !line.startsWith('#')).map((line) => ({ text: line }));
  }
  const principles: Given[] = [];
  let part: keyof Principle = 'text';
  for (const line of lines) {
    const last = principles.at(-1);
    const item = line.match(ITEM);
    const request = line.match(REQUEST);
    if (last && request && /^\s/.test(line)) {
      part = request[1].toLowerCase() as 'critique' | 'revision';
      last[part] = request[2];
    } else if (item) {
      part = 'text';
      principles.push({ text: item[1] ?? '' });
    } else if (last && /^\s/.test(line)) last[part] += ` ${line.trim()}`;
  }
  return principles;
}

/** What is taken where no constitution is given. */
export const defaultConstitution: readonly Principle[] = [
  'The answer does what was asked for, and not something beside it.',
  'The answer is true as far as can be known, and says where that is not sure.',
  'The answer helps nobody to hurt people, animals or what others own.',
  'The answer despises nobody for what they are: origin, sex, age, belief, body or means.',
  'The answer is kind to whoever asked, and does not flatter.',
  'The answer keeps what is private about people to itself.',
  'Where the answer refuses something, it says why, and what it can do in its place.',
  'The answer is as short as it can be, and easy to understand.',
].map((text) => complete({ text }));
