/** Whether a server lives, whether it takes requests, and how it closes without losing any. */
import type { ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { type Context, Hono } from 'hono';
import { declare } from './operations.ts';

/** Milliseconds that a readiness check may take. */
const LONGEST = 2000;

/** What `healthRoutes` asks. */
export interface HealthOptions {
  /** Whether the server is closing. */
  isDraining(): boolean;
  /** Resolves to what keeps the server from taking requests, if anything does. A sentence without secrets. */
  check?(): Promise<string | undefined>;
}

/**
 * `GET /health` says that the process lives, and `GET /ready` that it takes requests: 503 while it closes, or while
 * something that it needs is missing. They need no key, and tell strangers nothing more.
 */
export function healthRoutes({ isDraining, check }: HealthOptions): Hono {
  const health = (c: Context) => c.json({ status: 'ok' });
  const ready = async (c: Context) => {
    const late = new AbortController();
    const reason = isDraining()
      ? 'The server is closing.'
      : await Promise.race([
          check?.().catch(() => 'The readiness check failed.'),
          wait(LONGEST, 'The readiness check takes too long.', { signal: late.signal, ref: false }).catch(() => ''),
        ]).finally(() => late.abort());
    return reason ? c.json({ status: 'unavailable', reason }, 503) : c.json({ status: 'ready' });
  };
  return new Hono()
    .get('/health', declare(health, { summary: 'Whether the server is alive' }))
    .get('/ready', declare(ready, { summary: 'Whether the server accepts requests' }));
}

/** The requests that a server is answering, so that it can let them finish before it closes. */
export interface RequestsUnderWay {
  /** Adds a request until its response is closed. */
  add(outgoing: ServerResponse): void;
  /** Stops waiting for a request, such as a stream that does not end by itself. */
  forget(outgoing: ServerResponse): void;
  /** Resolves when no request is under way, or after so many milliseconds. */
  settled(milliseconds: number): Promise<void>;
}

/** Creates an empty set of requests under way. */
export function createUnderWay(): RequestsUnderWay {
  const underWay = new Set<ServerResponse>();
  return {
    add(outgoing) {
      underWay.add(outgoing);
      outgoing.once('close', () => underWay.delete(outgoing));
    },
    forget: (outgoing) => void underWay.delete(outgoing),
    async settled(milliseconds) {
      const last = Date.now() + milliseconds;
      while (underWay.size > 0 && Date.now() < last) await wait(20);
    },
  };
}
