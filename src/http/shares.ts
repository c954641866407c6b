/** What senders have in use at once: requests under way, open streams, bytes of bodies. */
import type { ServerResponse } from 'node:http';
import type { Context, MiddlewareHandler } from 'hono';
import type { HttpError } from './errors.ts';

/** What is in use at once, in all and by sender. */
export interface Shares {
  /** What all senders use together. */
  readonly total: number;
  /** What a sender uses. */
  of(sender: string): number;
  /** Adds to what a sender uses. The returned function takes it away again, once. */
  take(sender: string, amount: number): () => void;
}

/** Creates shares of which nothing is in use. */
export function createShares(): Shares {
  const used = new Map<string, number>();
  let total = 0;
  const change = (sender: string, by: number) => {
    const left = (used.get(sender) ?? 0) + by;
    if (left > 0) used.set(sender, left);
    else used.delete(sender);
    total += by;
  };
  return {
    get total() {
      return total;
    },
    of: (sender) => used.get(sender) ?? 0,
    take(sender, amount) {
      let held = true;
      change(sender, amount);
      return () => {
        if (held) change(sender, -amount);
        held = false;
      };
    },
  };
}

/** The response of a request as Node writes it; undefined for a request that did not come over a network. */
export const outgoingOf = (context: Context): ServerResponse | undefined =>
  (context.env as { outgoing?: ServerResponse } | undefined)?.outgoing;

/** Who sends a request, and how many of theirs may be under way. */
export interface ConcurrencyLimit {
  /** The sender; undefined: the request is not counted. */
  sender: string | undefined;
  /** Requests at once at most. */
  most: number;
  /** What refuses one more; `underWay` is how many there are. */
  refuse(underWay: number): HttpError;
}

/**
 * Refuses a sender too many requests at once. A request is under way until its connection has taken the response: a
 * stream goes on after its response was returned.
 */
export function limitConcurrency(limitOf: (context: Context) => ConcurrencyLimit): MiddlewareHandler {
  const shares = createShares();
  return async (context, next) => {
    const { sender, most, refuse } = limitOf(context);
    if (sender === undefined) return next();
    if (shares.of(sender) >= most) throw refuse(shares.of(sender));
    const release = shares.take(sender, 1);
    const outgoing = outgoingOf(context);
    outgoing?.once('close', release);
    try {
      await next();
    } finally {
      if (!outgoing) release();
    }
    return undefined;
  };
}
