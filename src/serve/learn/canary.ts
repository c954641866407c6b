/**
 * The canary's decision: is the new version worse than the serving one, or not worse by more than a margin? Judgments
 * come one after another and are looked at each time, so a fixed-sample test would err far more often than it says.
 * Here the evidence against a hypothesis H is a ratio of likelihoods of all judgments so far,
 *
 *     ∏ over both versions of ∫ p^good (1 − p)^bad dBeta(½, ½)(p)   divided by   max over H of the likelihood,
 *
 * and H is rejected once it reaches 1/α. If H is true, that ever happens with a probability of at most α, however
 * often one looks: under the true rates the ratio is at most a nonnegative martingale that starts at 1 (Ville 1939; the
 * mixture is Robbins 1970, the maximum in the denominator Wasserman, Ramdas & Balakrishnan 2020, "Universal
 * inference"). It assumes that judgments of a version are independent, so each user counts only a few times.
 */

/** Judgments of one version. */
export interface Tally {
  /** Judgments that found a completion good. */
  good: number;
  /** All judgments. */
  judged: number;
}

/** When a canary is rolled back or promoted. */
export interface CanaryRule {
  /** α: how often a version that is as good is rolled back, and one that is worse by the margin is promoted, at most; with
   * a margin of 0, one that is no better. */
  error: number;
  /** By how much lower the share of good completions may be. 0: it has to be higher. */
  margin: number;
  /** Judgments of the canary before it is promoted. */
  least: number;
  /** Judgments of the canary after which it is rolled back if nothing was decided. */
  most: number;
}

/** What to do with a canary, and why. */
export interface CanaryDecision {
  /** `continue` until the judgments decide. */
  verdict: 'continue' | 'roll back' | 'promote';
  /** log of the evidence that the canary is worse than the serving version. */
  worse: number;
  /** log of the evidence that it is not worse by the margin. */
  notWorse: number;
  /** Why, in a sentence. */
  reason: string;
}

/** Decides about a canary by the judgments so far of it and of the serving version, both since it began. */
export function decideCanary(
  canary: Tally,
  serving: Tally,
  { error, margin, least, most }: CanaryRule,
): CanaryDecision {
  const enough = -Math.log(error);
  const worse = evidenceAgainst(canary, serving, (gap) => gap >= 0, 0);
  const notWorse = evidenceAgainst(canary, serving, (gap) => gap <= -margin, -margin);
  const share = ({ good, judged }: Tally) => `${good} of ${judged}`;
  const figures = `${share(canary)} good, against ${share(serving)}`;
  if (worse >= enough)
    return { verdict: 'roll back', worse, notWorse, reason: `worse than the serving version: ${figures}` };
  if (notWorse >= enough && canary.judged >= least) {
    return {
      verdict: 'promote',
      worse,
      notWorse,
      reason: `${margin > 0 ? `not worse than the serving version by ${margin}` : 'better than the serving version'}: ${figures}`,
    };
  }
  if (canary.judged >= most) return { verdict: 'roll back', worse, notWorse, reason: `undecided: ${figures}` };
  return { verdict: 'continue', worse, notWorse, reason: figures };
}

/**
 * log of the evidence against the hypothesis that the difference of the two rates, the canary's less the serving
 * version's, `holds`; `edge` is the end of the differences for which it does.
 */
function evidenceAgainst(canary: Tally, serving: Tally, holds: (gap: number) => boolean, edge: number): number {
  if (canary.judged === 0 || serving.judged === 0) return 0;
  const [c, s] = [canary, serving].map(({ good, judged }) => good / judged);
  const likelihood = (atCanary: number, atServing: number) =>
    logLikelihood(canary, atCanary) + logLikelihood(serving, atServing);
  const best = holds(c - s)
    ? likelihood(c, s)
    : highest((rate) => likelihood(rate + edge, rate), Math.max(0, -edge), Math.min(1, 1 - edge));
  return logMixture(canary) + logMixture(serving) - best;
}

function logLikelihood({ good, judged }: Tally, rate: number): number {
  const term = (count: number, p: number) => (count === 0 ? 0 : count * Math.log(Math.max(p, 0)));
  return term(good, rate) + term(judged - good, 1 - rate);
}

/** log ∫ p^good (1 − p)^bad dBeta(½, ½)(p) = log B(good + ½, bad + ½) − log π, by sums of logarithms. */
function logMixture({ good, judged }: Tally): number {
  let log = 0;
  for (let i = 0; i < good; i++) log += Math.log((i + 0.5) / (i + 1));
  for (let i = 0; i < judged - good; i++) log += Math.log((i + 0.5) / (good + i + 1));
  return log;
}

/** The highest value of a concave function between two bounds, by golden sections. */
function highest(value: (x: number) => number, low: number, high: number): number {
  const golden = (Math.sqrt(5) - 1) / 2;
  for (let i = 0; i < 60; i++) {
    const [left, right] = [high - golden * (high - low), low + golden * (high - low)];
    if (value(left) < value(right)) low = left;
    else high = right;
  }
  return value((low + high) / 2);
}
