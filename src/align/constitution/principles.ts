/**
 * A constitution: principles by which completions are criticized, revised and compared. The file is JSON, or a list in
 * Markdown or plain text; docs/reference/constitution.md shows both.
 */

import { z } from 'zod';
import { HeedError, messageOf } from '../../error.ts';
import { readJsonFile, readText } from '../../files.ts';

/** A principle of a constitution, with the requests that the critic gets. */
export interface Principle {
  /** A sentence that says what a completion should be. */
  text: string;
  /** The request for a critique: where the completion departs from the principle. */
  critique: string;
  /** The request for a revision of the completion. */
  revision: string;
}

const HINT =
  'A principle is a sentence, such as "Answers are kind."; it may have a request for critique and one for revision.';

/**
 * Reads the principles of a constitution from a JSON, Markdown or text file.
 *
 * @throws HeedError when the file cannot be read, has no principles, or has one without text.
 */
export function readConstitution(path: string): Principle[] {
  const principles = path.endsWith('.json') ? fromJson(path) : fromList(readText(path));
  if (principles.length === 0) throw new HeedError(`"${path}" has no principles.`, { hint: HINT });
  return principles.map((principle, i) => {
    try {
      return complete(principle);
    } catch (cause) {
      throw new HeedError(`"${path}": principle ${i + 1} ${messageOf(cause)}.`, { hint: HINT, cause });
    }
  });
}

type PartialPrinciple = Partial<Principle>;

/** A principle with its requests filled in. @throws HeedError when it has no text. */
function complete({ text, critique, revision }: PartialPrinciple): Principle {
  const parts = [text, critique, revision].map((part) => part?.trim());
  const sentence = parts[0] || (parts[1] && parts[2] ? parts[1] : undefined);
  if (!sentence) throw new HeedError('has no text', { hint: HINT });
  return {
    text: sentence,
    critique:
      parts[1] ||
      `Look at your last answer by this principle: ${sentence}\nSay in a few sentences where it departs from the principle, with the words that do. If it departs nowhere, say so.`,
    revision:
      parts[2] ||
      `Write the answer again so that it keeps to the principle: ${sentence}\nLeave what is good as it is, and write the answer alone.`,
  };
}

const principleSchema = z.union([
  z.string().transform((text): PartialPrinciple => ({ text })),
  z
    .strictObject({
      principle: z.string().optional(),
      critique: z.string().optional(),
      revision: z.string().optional(),
    })
    .transform(({ principle: text, ...requests }): PartialPrinciple => ({ text, ...requests })),
]);
const fileSchema = z.union([
  z.array(principleSchema),
  z.strictObject({ principles: z.array(principleSchema) }).transform(({ principles }) => principles),
]);

function fromJson(path: string): PartialPrinciple[] {
  const { success, data } = fileSchema.safeParse(readJsonFile(path, HINT));
  if (success) return data;
  throw new HeedError(
    `"${path}" is not a constitution: expected a list of texts, or of objects {"principle", "critique", "revision"} that hold texts.`,
    { hint: HINT },
  );
}

const ITEM = /^ {0,3}(?:[-*+]|\d+[.)])(?:\s+(.*))?$/;
const REQUEST = /^\s*(?:[-*+]\s+)?(critique|revision)\s*:\s*(.*)$/i;

/** The items of a list, with the lines indented below them; without a list, every line except headings. */
function fromList(text: string): PartialPrinciple[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (!lines.some((line) => ITEM.test(line))) {
    return lines.filter((line) => !line.startsWith('#')).map((line) => ({ text: line }));
  }
  const principles: PartialPrinciple[] = [];
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

/** The principles used when no constitution is passed. */
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
