/**
 * Tests that may be looked at after every judgment. Each returns evidence against a claim: a number that exceeds 1 / p
 * ever, over any number of looks, with a probability of at most p if the claim is true (Ville 1939; Ramdas, Ruf, Larsson
 * and Koolen 2022, "Testing exchangeability").
 */

/** Share of annotators of whom a test says something although nothing is so, however often somebody looks. */
export const FALSE_ALARMS = 0.01;

/** Whether evidence is strong enough to say so, at the rate of false alarms above. */
export const isStrong = (evidence: number | null): boolean => evidence !== null && evidence >= 1 / FALSE_ALARMS;

/**
 * Evidence that outcomes (1 or 0) do not have an equal chance of both: the probability of the outcomes if the chance is
 * unknown, by Krichevsky and Trofimov (1981), over 2⁻ⁿ.
 */
export function evidenceOfLeaning(outcomes: readonly number[]): number {
  return Math.exp(logMixture(outcomes).at(-1)! + outcomes.length * Math.LN2);
}

/** A change of a share over time, as `findChange` describes it. */
export interface Change {
  /** Evidence of a change, as above: 1 or less says nothing. */
  evidence: number;
  /** Share before the likeliest time of a change. */
  before: number;
  /** Share from then on. */
  after: number;
  /** Outcomes before that time. */
  at: number;
}

/**
 * Evidence that the share of ones among outcomes changed once: the probability of the outcomes if it changed after k of
 * them, with weight 1 / (k (k + 1)), over the highest probability with a single share. Undefined of fewer than two
 * outcomes. Takes time proportional to their number.
 */
export function findChange(outcomes: readonly number[]): Change | undefined {
  const n = outcomes.length;
  if (n < 2) return undefined;
  const ones = outcomes.reduce((sum, outcome) => sum + outcome, 0);
  const highest = logLikelihood(ones, n);
  // the probability of the first k, and of those from k on: it does not depend on their order
  const before = logMixture(outcomes);
  const reversed = logMixture(outcomes.toReversed());
  // it has not changed yet: the weights of all later times together are 1 / n
  let evidence = Math.exp(before[n] - Math.log(n) - highest);
  let best = { at: 1, log: Number.NEGATIVE_INFINITY, ones: 0 };
  let seen = 0;
  for (let k = 1; k < n; k++) {
    seen += outcomes[k - 1];
    evidence += Math.exp(before[k] + reversed[n - k] - Math.log(k * (k + 1)) - highest);
    const log = logLikelihood(seen, k) + logLikelihood(ones - seen, n - k);
    if (log > best.log) best = { at: k, log, ones: seen };
  }
  return { evidence, before: best.ones / best.at, after: (ones - best.ones) / (n - best.at), at: best.at };
}

/** Logarithm of the highest probability of outcomes with so many ones, over all chances of a one. */
function logLikelihood(ones: number, n: number): number {
  const part = (count: number) => (count === 0 ? 0 : count * Math.log(count / n));
  return part(ones) + part(n - ones);
}

/** Logarithms of the probability of the first 0, 1, … n outcomes, each predicted with (count + ½) / (total + 1). */
function logMixture(outcomes: readonly number[]): number[] {
  const counts = [0.5, 0.5];
  let log = 0;
  return [
    log,
    ...outcomes.map((outcome, t) => {
      log += Math.log(counts[outcome] / (t + 1));
      counts[outcome]++;
      return log;
    }),
  ];
}
