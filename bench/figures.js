/** How measured figures are reduced and written. */
export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** 1234567 → 1.2M */
export const rate = (n) =>
  n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : n >= 1e3 ? `${(n / 1e3).toFixed(1)}k` : n.toFixed(0);
