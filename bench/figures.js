/** How measured figures are reduced and written. */
export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[values.length >> 1];
  return values.length % 2 ? upper : (sorted[values.length / 2 - 1] + upper) / 2;
};

/** 1234567 → 1.2M */
export const rate = (n) =>
  n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : n >= 1e3 ? `${(n / 1e3).toFixed(1)}k` : n.toFixed(0);
