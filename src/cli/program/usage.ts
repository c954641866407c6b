/** What a person typed wrong: exit code 2. Everything else that fails is 1. */
import { ZodError, type z } from 'zod';
import { HeedError } from '../../error.ts';

export class UsageError extends HeedError {}

/** Runs what checks settings: its complaints are about what was typed. */
export function checking<T>(check: () => T, given?: unknown): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof ZodError) throw new UsageError(inWords(error, given), { cause: error });
    if (error instanceof HeedError) throw new UsageError(error.message, { hint: error.hint, cause: error });
    throw error;
  }
}

/** What is wrong with which setting, a line each. */
export function inWords(error: ZodError, given: unknown): string {
  return error.issues
    .map((issue) => {
      const value = valueAt(given, issue.path);
      if (issue.code === 'invalid_type' && value === undefined) return `${flagName(issue.path)} is missing`;
      const got = value === undefined ? 'what goes with it' : JSON.stringify(value);
      return `${flagName(issue.path)}: ${expectation(issue)}, got ${got}`;
    })
    .join('\n');
}

/** An element of a list has no flag of its own. */
const flagName = (path: readonly PropertyKey[]) => `--${path.filter((key) => typeof key === 'string').join('.')}`;

// zod's messages begin with the kind of fault ("Too small: expected …"), which "expected …, got …" says already
const expectation = ({ message }: z.core.$ZodIssue) =>
  message
    .replace(/^[A-Z][a-z ]+: /, '')
    .replace(/, received .*$/, '')
    .replace('expected int', 'expected a whole number');

const valueAt = (given: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], given);
