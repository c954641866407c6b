/** Errors in what a person typed: exit code 2. All other failures exit with 1. */

import type { ZodError } from 'zod';
import { HeedError } from '../../error.ts';
import { flagFor } from '../../flag-names.ts';
import { faultsIn, faultsInWords } from '../../options.ts';

export class UsageError extends HeedError {}

/** Runs a check of settings and turns its errors into usage errors. */
export function checking<T>(check: () => T, input?: unknown): T {
  try {
    return check();
  } catch (error) {
    const faults = faultsIn(error);
    if (faults) {
      const text = flagFaults(faults, input);
      const hint = / is missing$/m.test(text) ? 'Run it with --help to see what each flag takes.' : undefined;
      throw new UsageError(text, { hint, cause: faults });
    }
    if (error instanceof HeedError) throw new UsageError(error.message, { hint: error.hint, cause: error });
    throw error;
  }
}

/** What is wrong with each setting, by its flag, one per line. */
export const flagFaults = (faults: ZodError, input: unknown): string => faultsInWords(faults, input, flagFor);
