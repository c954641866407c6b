/** How measured figures are reduced and written. */
export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** 1234567 → 1.2M */
export const rate = (n) =>
  n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : n >= 1e3 ? `${(n / 1e3).toFixed(1)}k` : n.toFixed(0);

/** Milliseconds that `run` takes: the median of `repeats`, after one that is not timed. */
export async function medianMilliseconds(run, repeats) {
  await run();
  const times = [];
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return median(times);
}
