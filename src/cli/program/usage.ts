/** What a person typed wrong: exit code 2. Everything else that fails is 1. */
import type { ZodError } from 'zod';
import { HeedError } from '../../error.ts';
import { faultsIn, faultsInWords } from '../../options.ts';

export class UsageError extends HeedError {}

/** Runs what checks settings: its complaints are about what was typed. */
export function checking<T>(check: () => T, input?: unknown): T {
  try {
    return check();
  } catch (error) {
    const faults = faultsIn(error);
    if (faults) throw new UsageError(inWords(faults, input), { cause: faults });
    if (error instanceof HeedError) throw new UsageError(error.message, { hint: error.hint, cause: error });
    throw error;
  }
}

/** What is wrong with which setting, by the flag as it is typed, a line each. */
export const inWords = (faults: ZodError, input: unknown): string =>
  faultsInWords(faults, input, (path) => `--${path}`);
