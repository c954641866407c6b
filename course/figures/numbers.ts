/** Numbers of the figures. */

/** The sigmoid. */
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** A number with few digits, with a proper minus sign. */
export const short = (value: number, digits = 2): string => value.toFixed(digits).replace('-', '−');

/** Uniform numbers in [0, 1), the same for the same seed (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
