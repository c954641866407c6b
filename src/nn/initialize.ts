/** Initial values of parameters. A weight's shape is [out, in, ...]. */
import { dot } from '../dot.ts';
import type { Random } from '../random.ts';

/** Fills `data`, the elements of a tensor of `shape`. */
export type Initialize = (data: Float32Array, shape: readonly number[], random: Random) => void;

/** All 0. */
export const zeros: Initialize = (data) => void data.fill(0);
/** All 1. */
export const ones: Initialize = (data) => void data.fill(1);
/** All one value. */
export const fill =
  (value: number): Initialize =>
  (data) =>
    void data.fill(value);

/** Normal, with mean 0 and a standard deviation. */
export const normal =
  (deviation: number): Initialize =>
  (data, _, random) => {
    for (let i = 0; i < data.length; i++) data[i] = deviation * random.normal();
  };

/** Uniform in ±√(6/(in + out))·gain (Glorot & Bengio 2010). A kernel's height and width count in both. */
export const xavier =
  (gain = 1): Initialize =>
  (data, shape, random) => {
    const inner = data.length / shape[0];
    const kernel = shape.slice(2).reduce((a, b) => a * b, 1);
    const bound = gain * Math.sqrt(6 / (inner + shape[0] * kernel));
    for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random.uniform() - 1);
  };

/** Uniform in ±1/√in, as PyTorch's linear layers start. */
export const fanIn: Initialize = (data, shape, random) => {
  const bound = Math.sqrt(shape[0] / data.length);
  for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random.uniform() - 1);
};

/** Orthonormal rows or columns, times the gain (Saxe et al. 2013). Axes after the first count as one. */
export const orthogonal =
  (gain = 1): Initialize =>
  (data, shape, random) => {
    const rows = shape[0];
    const columns = data.length / rows;
    const [long, short] = rows > columns ? [rows, columns] : [columns, rows];
    // `short` orthonormal vectors of length `long`, by Gram–Schmidt: twice where the first pass took most of a vector
    const basis: Float64Array[] = [];
    while (basis.length < short) {
      const v = Float64Array.from({ length: long }, () => random.normal());
      const start = dot(v, v);
      let left = start;
      for (let pass = 0; pass < 2 && (pass === 0 || left < start / 2); pass++) {
        for (const u of basis) {
          const along = dot(u, v);
          for (let i = 0; i < long; i++) v[i] -= along * u[i];
        }
        left = dot(v, v);
      }
      const norm = Math.sqrt(left);
      if (norm > 1e-8) basis.push(v.map((x) => x / norm));
    }
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) data[r * columns + c] = gain * (rows > columns ? basis[c][r] : basis[r][c]);
    }
  };
