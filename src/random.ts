/**
 * The random generator: xoshiro128** (Blackman & Vigna 2018), seeded through splitmix32. Its state can be saved, and it
 * splits by (run seed, purpose, step), so a resumed run draws what an uninterrupted one would have drawn.
 */

/** Four 32-bit words; plain data, so that a checkpoint can hold it. */
export type RandomState = [number, number, number, number];

/** A stream of random numbers, whose whole state can be saved. */
export interface Random {
  /** Uniform 32-bit unsigned integer. */
  uint32(): number;
  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number;
  /** Uniform integer in [0, n). */
  integer(n: number): number;
  /** Standard normal. Each call draws two uniforms and stores neither, so the state is four words. */
  normal(): number;
  /** Shuffles in place (Fisher–Yates), and returns its argument. */
  shuffle<T extends { length: number; [index: number]: number }>(values: T): T;
  /** The state: `restore` continues the stream from there. */
  save(): RandomState;
  /** Continues the stream from a saved state. */
  restore(state: RandomState): void;
}

/**
 * A generator for one purpose: the same (seed, ...path) is always the same stream.
 *
 * @param path - What the stream is for, such as `'episodes', 3`: streams of other paths are independent of it.
 */
export function random(seed: number, ...path: (string | number)[]): Random {
  let hash = mix(seed >>> 0) ^ mix(Math.floor(seed / 2 ** 32) >>> 0);
  for (const part of path) {
    if (typeof part === 'number') {
      hash = mix((hash ^ mix(part >>> 0)) + 0x9e3779b9);
    } else {
      for (let i = 0; i < part.length; i++) hash = mix((hash ^ part.charCodeAt(i)) + 0x9e3779b9);
      hash = mix(hash + 0x7f4a7c15);
    }
  }
  let [a, b, c, d] = [1, 2, 3, 4].map((k) => mix((hash + Math.imul(k, 0x9e3779b9)) >>> 0)) as RandomState;

  const uint32 = () => {
    const m = Math.imul(b, 5);
    const result = Math.imul((m << 7) | (m >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const uniform = () => ((uint32() >>> 5) * 67108864 + (uint32() >>> 6)) / 9007199254740992;
  const integer = (n: number) => Math.floor(uniform() * n);
  return {
    uint32,
    uniform,
    integer,
    normal: () => {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      return radius * Math.cos(2 * Math.PI * uniform());
    },
    shuffle(values) {
      for (let i = values.length - 1; i > 0; i--) {
        const j = integer(i + 1);
        const value = values[i];
        values[i] = values[j];
        values[j] = value;
      }
      return values;
    },
    save: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0],
    restore(state) {
      [a, b, c, d] = state;
    },
  };
}

/** A 32-bit seed for one purpose, for functions that take a seed instead of a generator. */
export function seedFor(seed: number, ...path: (string | number)[]): number {
  return random(seed, ...path).uint32();
}

// splitmix32's finalizer
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
