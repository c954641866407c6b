/**
 * A world of texts so small that nothing has to be sampled. Only two numbers of a text matter: how many facts it has,
 * 0 to 8, and how many words of praise, 0 to 12. So there are 117 kinds of texts, and a policy is a list of 117
 * probabilities.
 */

/** A kind of text. */
export interface Kind {
  /** Facts, 0 to 8. */
  facts: number;
  /** Words of praise, 0 to 12. */
  praise: number;
}

/** All kinds: the lists below have one number for each, in this order. */
export const kinds: readonly Kind[] = Array.from({ length: 9 * 13 }, (_, i) => ({
  facts: Math.floor(i / 13),
  praise: i % 13,
}));

/** How often people write each kind: the policy before training. One text in 270 has more than 4 words of praise. */
export const base: readonly number[] = normalized(
  kinds.map(({ facts, praise }) => poisson(facts, 2) * poisson(praise, 1)),
);

/** What readers really like: facts, and praise up to 4 words. More than that reads like an advertisement. */
export const gold: readonly number[] = kinds.map(
  ({ facts, praise }) => 0.4 * facts + 0.6 * praise - 1.8 * Math.max(0, praise - 4),
);

/** What a reward model can see of a text. */
const features = ({ facts, praise }: Kind): number[] => [facts, praise, Math.max(0, praise - 4)];

/**
 * Reward models, each trained on the same number of comparisons: the score that each gives to each kind. A member
 * starts from weights of its own and sees its own draw of the comparisons. So members agree about what the comparisons
 * show, and differ about all else.
 */
export function rewardModels(comparisons: number, members: number, seed: number): number[][] {
  const draw = uniform(seed);
  const pairs = Array.from({ length: comparisons }, () => {
    const [a, b] = [pick(base, draw()), pick(base, draw())];
    return draw() < 1 / (1 + Math.exp(gold[b] - gold[a])) ? [a, b] : [b, a];
  });
  return Array.from({ length: members }, () => {
    const start = features(kinds[0]).map(() => 1.2 * normal(draw));
    const sample = pairs.map(() => pairs[Math.floor(draw() * pairs.length)]);
    const weights = fit(start, sample);
    return kinds.map((kind) => features(kind).reduce((sum, x, i) => sum + weights[i] * x, 0));
  });
}

/** Gradient descent on lesson 2's loss. Weights about which no pair says anything stay near their start. */
function fit(start: readonly number[], pairs: readonly number[][]): number[] {
  const weights = [...start];
  const differences = pairs.map(([better, worse]) => {
    const other = features(kinds[worse]);
    return features(kinds[better]).map((x, i) => x - other[i]);
  });
  // a rare feature has a flat loss and needs larger steps
  const steepness = start.map((_, i) => 0.5 + 0.25 * differences.reduce((sum, x) => sum + x[i] ** 2, 0));
  for (let step = 0; step < 100; step++) {
    const slope = weights.map((weight, i) => 0.5 * (weight - start[i]));
    for (const difference of differences) {
      const surprise = 1 / (1 + Math.exp(difference.reduce((sum, x, i) => sum + weights[i] * x, 0)));
      for (const [i, x] of difference.entries()) slope[i] -= surprise * x;
    }
    for (const i of weights.keys()) weights[i] -= slope[i] / steepness[i];
  }
  return weights;
}

function normalized(numbers: readonly number[]): number[] {
  const total = numbers.reduce((sum, x) => sum + x, 0);
  return numbers.map((x) => x / total);
}

/** The probability of k events where `mean` are usual. */
function poisson(k: number, mean: number): number {
  return k === 0 ? Math.exp(-mean) : (poisson(k - 1, mean) * mean) / k;
}

/** The index at which the summed probabilities pass a number from 0 up to 1. */
function pick(probabilities: readonly number[], at: number): number {
  let left = at;
  const index = probabilities.findIndex((p) => {
    left -= p;
    return left < 0;
  });
  return index < 0 ? probabilities.length - 1 : index;
}

/** Uniform numbers in [0, 1), the same for the same seed (mulberry32). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A standard normal number (Box and Muller). */
const normal = (draw: () => number): number => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
