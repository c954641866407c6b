/** What the benches' small worlds share. */

export const box = (low, high, size) => ({
  kind: 'box',
  low: new Float32Array(size).fill(low),
  high: new Float32Array(size).fill(high),
});
export const discrete = (n) => ({ kind: 'discrete', n });
export const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
/** A world that nobody watches. */
export const frame = () => ({ width: 100, height: 100, shapes: [] });
