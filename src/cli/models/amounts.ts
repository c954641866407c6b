/** Amounts in the words of `heed plan`. */

/** Bytes in decimal units. */
export const size = (bytes: number): string =>
  bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;

/** A parameter count as in model names, such as 135M. */
export const inWords = (n: number): string =>
  n < 1e9 ? `${Number((n / 1e6).toPrecision(3))}M` : `${Number((n / 1e9).toPrecision(3))}B`;
