/** How well rewards predict choices that somebody made: accuracy, calibration, margins, and what they may have learned instead. */
import { wilson } from '../../run/intervals.ts';
import type { Rankings } from './rankings.ts';

/** Two answers of which one was chosen, and what a reward model makes of them. */
export interface Judged {
  /** Rewards. */
  better: number;
  worse: number;
  /** Tokens of the answers. */
  betterLength: number;
  worseLength: number;
  source?: string;
}

export interface Share {
  accuracy: number;
  /** Wilson's, of 95 %. */
  interval: [low: number, high: number];
  n: number;
}

export interface RewardEvaluation extends Share {
  verdict: string;
  /** Mean −log P of what was chosen, in nats. */
  loss: number;
  /** Expected calibration error: how far the probabilities are off, on average (Naeini et al. 2015). */
  ece: number;
  /** Mean probability of the answer that the model prefers, less its accuracy: above 0 it is too sure. */
  overConfidence: number;
  /** Share of the pairs whose longer answer the model prefers, and whose longer answer was chosen; pairs as long are left out. */
  longerWins: number;
  longerChosen: number;
  bySource: Record<string, Share>;
  /** From pairs whose chosen answer is much shorter to those whose chosen answer is much longer. */
  byLength: (Share & { label: string })[];
  /** What was predicted and what came of it, in ten bins of the model's confidence from ½ to 1. */
  reliability: { confidence: number; accuracy: number; n: number }[];
  /** Rewards of chosen answers less those of rejected ones, and how they are distributed. */
  margin: { mean: number; deviation: number };
  margins: { middle: number; share: number }[];
}

/** All pairs of rankings that somebody decided, with the reward of each answer. */
export function judgedPairs(
  { lists, lengths }: Rankings,
  chosen: readonly number[],
  rewards: ArrayLike<number>,
): Judged[] {
  return chosen.flatMap((list) => {
    const { first, levels, source } = lists[list];
    const pairs: Judged[] = [];
    for (const [i, level] of levels.entries()) {
      for (const [j, other] of levels.entries()) {
        if (level <= other) continue;
        pairs.push({
          better: rewards[first + i],
          worse: rewards[first + j],
          betterLength: lengths[first + i],
          worseLength: lengths[first + j],
          source,
        });
      }
    }
    return pairs;
  });
}

const BINS = 10;

/** `scale` makes probabilities of rewards: P(i over j) = σ(scale · (rewardᵢ − rewardⱼ)). */
export function evaluateReward(pairs: readonly Judged[], scale: number): RewardEvaluation {
  const overall = shareOf(pairs.map(hit));
  const confidences = pairs.map(({ better, worse }) => sigmoid(scale * Math.abs(better - worse)));
  const reliability = Array.from({ length: BINS }, (_, bin) => {
    const inside = pairs.flatMap((pair, i) =>
      Math.min(BINS - 1, Math.floor((confidences[i] - 0.5) * 2 * BINS)) === bin ? [[confidences[i], hit(pair)]] : [],
    );
    return {
      confidence: mean(inside.map(([confidence]) => confidence)),
      accuracy: mean(inside.map(([, right]) => right)),
      n: inside.length,
    };
  });
  const uneven = pairs.filter(({ betterLength, worseLength }) => betterLength !== worseLength);
  const margins = pairs.map(({ better, worse }) => better - worse);
  const margin = mean(margins);
  const sources = [...new Set(pairs.flatMap(({ source }) => source ?? []))].sort();
  return {
    ...overall,
    verdict: verdictOn(overall),
    loss: mean(pairs.map(({ better, worse }) => softplus(-scale * (better - worse)))),
    ece: reliability.reduce(
      (sum, { confidence, accuracy, n }) => sum + (n === 0 ? 0 : (n / pairs.length) * Math.abs(confidence - accuracy)),
      0,
    ),
    overConfidence: mean(confidences) - overall.accuracy,
    longerWins: mean(uneven.map((pair) => (pair.betterLength > pair.worseLength ? hit(pair) : 1 - hit(pair)))),
    longerChosen: mean(uneven.map(({ betterLength, worseLength }) => Number(betterLength > worseLength))),
    bySource: Object.fromEntries(
      sources.map((name) => [name, shareOf(pairs.filter(({ source }) => source === name).map(hit))]),
    ),
    byLength: lengthGroups.map(([label, from, to]) => ({
      label,
      ...shareOf(
        pairs
          .filter(({ betterLength, worseLength }) => {
            const ratio = Math.log2(betterLength / worseLength);
            return ratio >= from && ratio < to;
          })
          .map(hit),
      ),
    })),
    reliability,
    margin: { mean: margin, deviation: Math.sqrt(mean(margins.map((value) => (value - margin) ** 2))) },
    margins: histogram(margins),
  };
}

const BARS = 21;

/** Shares of values in equal stretches about 0. */
function histogram(values: readonly number[]): { middle: number; share: number }[] {
  const most = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const shares = new Float64Array(BARS);
  for (const value of values) {
    shares[Math.min(BARS - 1, Math.floor(((value + most) / (2 * most)) * BARS))] += 1 / values.length;
  }
  return Array.from(shares, (share, i) => ({ middle: most * ((2 * i + 1) / BARS - 1), share }));
}

/** By the binary logarithm of chosen length over rejected length. */
const lengthGroups: [label: string, from: number, to: number][] = [
  ['less than half as long', Number.NEGATIVE_INFINITY, -1],
  ['shorter', -1, -0.1],
  ['about as long', -0.1, 0.1],
  ['longer', 0.1, 1],
  ['more than twice as long', 1, Number.POSITIVE_INFINITY],
];

/** 1 where the chosen answer has the higher reward, ½ where both have the same. */
const hit = ({ better, worse }: Judged): number => (better > worse ? 1 : better === worse ? 0.5 : 0);

export function shareOf(hits: readonly number[]): Share {
  const accuracy = mean(hits);
  return { accuracy, interval: wilson(accuracy, hits.length), n: hits.length };
}

function verdictOn({ accuracy, interval: [low], n }: Share): string {
  if (n === 0) return 'nothing to judge by';
  if (low <= 0.5) return 'not told from chance';
  if (accuracy > 0.8) return 'great';
  return accuracy > 0.7 ? 'good' : 'better than chance';
}

export interface Drift {
  /** Mean and deviation of the rewards of the reference's answers and of the policy's. */
  reference: { mean: number; deviation: number; length: number };
  policy: { mean: number; deviation: number; length: number };
  /** Deviations of the reference between the two means. */
  shift: number;
  /** Share of the policy's rewards outside of what 98 % of the reference's are in: 0.02 where nothing has changed. */
  outside: number;
}

/** How far a policy's answers are from those that a reward model was made for, as it sees them. */
export function driftOf(
  reference: { rewards: ArrayLike<number>; lengths: ArrayLike<number> },
  policy: { rewards: ArrayLike<number>; lengths: ArrayLike<number> },
): Drift {
  const [before, after] = [reference, policy].map(({ rewards, lengths }) => {
    const values = Array.from(rewards);
    const average = mean(values);
    const deviation = Math.sqrt(mean(values.map((value) => (value - average) ** 2)));
    return { mean: average, deviation, length: mean(Array.from(lengths)) };
  });
  const sorted = Array.from(reference.rewards).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const [low, high] = [at(0.01), at(0.99)];
  return {
    reference: before,
    policy: after,
    shift: (after.mean - before.mean) / (before.deviation || 1),
    outside: mean(Array.from(policy.rewards, (value) => Number(value < low || value > high))),
  };
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
