/** Redaction: what is taken out of texts before they are recorded. */
import { z } from 'zod';
import { HeedError, messageOf } from '../error.ts';
import { readJsonFile } from '../files.ts';

/** A rule: its name, and what it finds. */
export type RedactionRule = readonly [name: string, pattern: RegExp];

/** Whether digits are the number of a payment card, by their check digit (ISO/IEC 7812-1, Luhn). */
export function isCardNumber(text: string): boolean {
  const digits = text.replaceAll(/\D/g, '');
  if (digits.length < 13 || digits.length > 19) return false;
  const sum = Array.from(digits)
    .reverse()
    .reduce((total, digit, i) => {
      const value = Number(digit) * (i % 2 === 1 ? 2 : 1);
      return total + (value > 9 ? value - 9 : value);
    }, 0);
  return sum % 10 === 0;
}

/** The rules that are always there. */
const builtIn: readonly RedactionRule[] = [
  ['email', /[\p{L}\p{N}._%+-]{1,64}@[\p{L}\p{N}-]{1,63}(?:\.[\p{L}\p{N}-]{1,63})+/gu],
  ['key', /\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abpr]|AKIA|AIza|hf|npm)[-_]?[A-Za-z0-9_-]{16,}/g],
  ['key', /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/g], // a JSON Web Token
  ['key', /\bBearer\s+[\w.~+/-]{12,}=*/gi],
  ['card', /\b\d(?:[ -]?\d){12,18}\b/g],
];

/**
 * Rules of a policy, by name, besides the ones that are always there (emails, keys, card numbers).
 *
 * @throws HeedError that names the rule that is no regular expression.
 */
export function redactionRules(patterns: Readonly<Record<string, string>> = {}): RedactionRule[] {
  const added = Object.entries(patterns).map(([name, pattern]): RedactionRule => {
    try {
      return [name, new RegExp(pattern, 'gu')];
    } catch (cause) {
      throw new HeedError(`The redaction rule "${name}" is not a regular expression: ${messageOf(cause)}.`, { cause });
    }
  });
  return [...builtIn, ...added];
}

/** Rules by name, or those in a JSON file. @throws HeedError if it cannot be read, or holds anything else. */
export function readRules(source: string | Readonly<Record<string, string>> = {}): RedactionRule[] {
  if (typeof source !== 'string') return redactionRules(source);
  const hint = 'Expected regular expressions by name, such as {"ticket": "T-\\d+"}.';
  const rules = readJsonFile(source, hint);
  try {
    return redactionRules(z.record(z.string(), z.string()).parse(rules));
  } catch (cause) {
    throw new HeedError(`"${source}" contains no redaction rules: ${messageOf(cause)}`, { hint, cause });
  }
}

/** A text with what the rules find replaced by its name, such as `[email]`. */
export const redactedText = (text: string, rules: readonly RedactionRule[]): string =>
  rules.reduce(
    (left, [name, pattern]) =>
      left.replaceAll(pattern, (found) => (name === 'card' && !isCardNumber(found) ? found : `[${name}]`)),
    text,
  );

/** Any JSON with all its texts redacted. Pictures and sounds inside are left out. */
export function redacted<T>(value: T, rules: readonly RedactionRule[]): T {
  const go = (inner: unknown): unknown => {
    if (typeof inner === 'string') return inner.startsWith('data:') ? '[data]' : redactedText(inner, rules);
    if (Array.isArray(inner)) return inner.map(go);
    if (typeof inner !== 'object' || inner === null) return inner;
    return Object.fromEntries(Object.entries(inner).map(([key, field]) => [key, go(field)]));
  };
  return go(value) as T;
}
