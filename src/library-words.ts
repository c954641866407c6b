/**
 * The words of a program that calls heed: where an error, a notice or a finding names a flag of the command line, it gets
 * the name of the option. Commands that it quotes (heed reward --model …) stay as they are.
 */
import { HeedError, reworded } from './error.ts';
import { settingFor } from './flag-names.ts';

const SENTENCE = /(?<=[.;:!?])\s+/;
const COMMAND = /\b(?:heed|npx|pip|python|node) [a-z]/;
const WITH_VALUE = /\(--([A-Za-z][\w.-]*) ([^\s()]+)\)/g;
const FLAG = /--([A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*)*)(?: (-?\d[\d.e-]*|true|false)\b)?/g;

/** A text with options in place of flags: `--beta 0.2` is `beta: 0.2`, and `--beta` alone is `"beta"`. */
export function withOptionNames(text: string): string {
  if (!text.includes('--')) return text;
  const gaps = [...text.matchAll(new RegExp(SENTENCE, 'g'))].map(([gap]) => gap);
  return text
    .split(SENTENCE)
    .map((sentence, i) => {
      const at = sentence.search(COMMAND);
      const before = at < 0 ? sentence : sentence.slice(0, at);
      const named = before
        .replace(WITH_VALUE, (_, name: string, value: string) => `(${settingFor(name)}: ${value})`)
        .replace(FLAG, (_, name: string, value?: string) =>
          value === undefined ? `"${settingFor(name)}"` : `${settingFor(name)}: ${value}`,
        );
      return `${named}${sentence.slice(before.length)}${gaps[i] ?? ''}`;
    })
    .join('');
}

/** An error whose message and hint name options. */
export function errorForPrograms(error: unknown): unknown {
  if (!(error instanceof HeedError)) return error;
  const [message, hint] = [withOptionNames(error.message), error.hint && withOptionNames(error.hint)];
  if (message === error.message && hint === error.hint) return error;
  const named = reworded(error, message, { hint, cause: error.cause });
  named.stack = error.stack?.replace(error.message, message);
  return named;
}

/** All texts of plain data, such as a diagnosis, with options in place of flags. */
export function textsForPrograms<T>(data: T): T {
  if (typeof data === 'string') return withOptionNames(data) as T;
  if (Array.isArray(data)) return data.map(textsForPrograms) as T;
  if (typeof data !== 'object' || data === null) return data;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, textsForPrograms(value)])) as T;
}
