/** Token buckets: how many requests are left to each key. */
import { tooMany } from './errors.ts';

/** Takes one of `most` by a key. Returns how many are left, or −1 if there was none. */
export type TokenBuckets = (key: string, most: number) => number;

/** Buckets that fill in `seconds`. `clock` is the clock, in milliseconds. */
export function createBuckets(seconds: number, clock: () => number = () => Date.now()): TokenBuckets {
  const buckets = new Map<string, { left: number; at: number }>();
  return (key, most) => {
    const time = clock();
    const { left, at } = buckets.get(key) ?? { left: most, at: time };
    const filled = Math.min(most, left + ((time - at) / 1000) * (most / seconds));
    if (filled < 1) return -1;
    // a bucket that is full again can be forgotten
    if (buckets.size > 10_000)
      for (const [other, one] of buckets) if (time - one.at > 1000 * seconds) buckets.delete(other);
    buckets.set(key, { left: filled - 1, at: time });
    return Math.floor(filled - 1);
  };
}

/** Counts one more by a key. @throws HttpError 429 if the limit is reached. */
export type RateLimit = (key: string) => void;

/** Options of `createRateLimit`. */
interface LimitOptions {
  /** How many in a minute. */
  perMinute: number;
  /** What a refused client reads; `Too many requests.` by default. */
  message?: string;
  /** What it should do. */
  hint?: string;
  /** The clock, in milliseconds; the system's by default. */
  clock?: () => number;
}

/** Allows each key so many in a minute. */
export function createRateLimit({ perMinute, message = 'Too many requests.', hint, clock }: LimitOptions): RateLimit {
  const take = createBuckets(60, clock);
  return (key) => {
    if (take(key, perMinute) < 0) throw tooMany(message, { hint, seconds: Math.ceil(60 / perMinute) });
  };
}
