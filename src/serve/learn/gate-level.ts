/**
 * How sure the gate has to be of the next version. All versions are measured by the same held-out users, so at a fixed
 * level one version in forty would pass though it is no better. LORD++ (Javanmard & Montanari 2018, "Online rules for
 * control of false discovery rate and false discovery exceedance"; Ramdas, Yang, Wainwright & Jordan 2017, "Online
 * control of the false discovery rate with decaying memory") gives each test its level: it falls while versions fail and
 * rises again with each that served. Of the versions that pass, those that are no better are a share of at most
 * `error` on average, if their tests are independent. They are only nearly so, which the canary makes up for.
 */

/** γ of the j-th test: they sum to 1 over j = 1, 2, … */
const gamma = (j: number) => (j < 1 ? 0 : 6 / (Math.PI * j) ** 2);

/**
 * Level of the next version's test.
 *
 * @param served - Of each version that was tested, the oldest first: whether it came to serve.
 * @param error - Share of the versions that pass although they are no better, at most.
 */
export function nextLevel(served: readonly boolean[], error: number): number {
  const wealth = error / 2;
  const since = served.flatMap((yes, i) => (yes ? [served.length - i] : []));
  const [first, ...others] = since.map(gamma);
  return (
    wealth * gamma(served.length + 1) +
    (error - wealth) * (first ?? 0) +
    error * others.reduce((sum, share) => sum + share, 0)
  );
}

/** How many standard errors a figure has to be above its bound at a level: the quantile 1 − level of the normal one. */
export function errorsAbove(level: number): number {
  let [low, high] = [0, 40];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (normalTail(middle) > level) low = middle;
    else high = middle;
  }
  return low;
}

/** P(Z > z) for z ≥ 0: Simpson's rule up to where nothing is left. */
function normalTail(z: number): number {
  const [steps, width] = [400, 8];
  const density = (x: number) => Math.exp(-(x ** 2) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(z) + density(z + width);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 1 ? 4 : 2) * density(z + (i * width) / steps);
  return (sum * width) / steps / 3;
}
