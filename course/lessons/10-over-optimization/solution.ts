export interface Point {
  kl: number;
  proxy: number;
  gold: number;
}

/** In logarithms, and less their maximum: the largest exponential is 1. */
export function tilt(base: readonly number[], score: readonly number[], strength: number): number[] {
  const logits = base.map((b, i) => Math.log(b) + strength * score[i]);
  const largest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

export function kl(policy: readonly number[], base: readonly number[]): number {
  return policy.reduce((sum, p, i) => sum + (p === 0 ? 0 : p * Math.log(p / base[i])), 0);
}

export function curve(
  base: readonly number[],
  proxy: readonly number[],
  gold: readonly number[],
  strengths: readonly number[],
): Point[] {
  return strengths.map((strength) => {
    const policy = tilt(base, proxy, strength);
    const mean = (scores: readonly number[]) => policy.reduce((sum, p, i) => sum + p * scores[i], 0);
    return { kl: kl(policy, base), proxy: mean(proxy), gold: mean(gold) };
  });
}

export function turn(points: readonly Point[]): Point {
  return points.reduce((best, point) => (point.gold > best.gold ? point : best));
}

export function pessimistic(members: readonly (readonly number[])[]): number[] {
  return members[0].map((_, i) => Math.min(...members.map((scores) => scores[i])));
}
