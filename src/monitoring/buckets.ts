/** Token buckets: how many requests are left to each key. */

/** Takes one of `most` by a key. Returns how many are left, or −1 if there was none. */
export type TokenBuckets = (key: string, most: number) => number;

/** Buckets that fill in `seconds`. `now` is the clock, in milliseconds. */
export function createBuckets(seconds: number, now: () => number = () => Date.now()): TokenBuckets {
  const buckets = new Map<string, { left: number; at: number }>();
  return (key, most) => {
    const time = now();
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
