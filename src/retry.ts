/** Retries of temporary failures, for whatever talks to a server. */

import { HeedError, messageOf } from './error.ts';
import { wait as sleep } from './node.ts';

/** How temporary failures are retried. */
export interface RetryOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds before the first retry of a failed request, doubled for each further one. Default 1000. */
  retryDelay?: number;
  /** Called with the reason of each retry. */
  onWarning?: (text: string) => void;
}

const RETRIES = 4;
const LONGEST_WAIT = 60_000;

/** A temporary failure: of the network, or of a busy server. */
export class Transient extends HeedError {
  /** Milliseconds that the server asks to wait. */
  readonly after: number;

  constructor(message: string, { after = 0, ...options }: { after?: number; hint?: string; cause?: unknown } = {}) {
    super(message, options);
    this.after = after;
  }
}

/** Retries temporary failures up to four times; the count starts anew whenever `reached` has grown. */
export async function retrying<T>(
  options: RetryOptions,
  attempt: () => Promise<T>,
  reached: () => number = () => 0,
): Promise<T> {
  let best = reached();
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      if (reached() > best) {
        best = reached();
        failures = 1;
      }
      if (failures > RETRIES) throw error;
      const wait = Math.max(error.after, (options.retryDelay ?? 1000) * 2 ** (failures - 1));
      options.onWarning?.(`${error.message} Trying again in ${Math.ceil(wait / 1000)} s.`);
      await sleep(wait, undefined, { signal: options.signal });
    }
  }
}

/** Why `fetch` failed, such as ECONNREFUSED. */
export function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return (inner as NodeJS.ErrnoException)?.code ?? messageOf(inner);
}

/** Milliseconds that a busy server asks to wait in `retry-after`, at most a minute. */
export const retryAfter = (header: string | null | undefined): number =>
  Math.min(LONGEST_WAIT, (Number(header) || 0) * 1000);
