/** How well models do against each other, where items name what their options come from: win rates and scores. */
import { dot } from '../../dot.ts';
import { grouped } from '../../grouped.ts';
import { type Interval, wilson } from '../../run/intervals.ts';
import type { CountedJudgment } from './judgments.ts';

/** One model's result. */
export interface ModelScore {
  /** Name, as the items' metadata has it. */
  name: string;
  /** Items on which it was compared. */
  items: number;
  /** Share of its comparisons that it wins, a tie being half a win, with a 95 % interval. Each item counts once. */
  winRate: number;
  interval: Interval;
  /** Bradley–Terry score in Elo points: 0 is the mean of all models, and 400 more means odds of 10 to 1. */
  score: number;
  scoreInterval: Interval;
  /** 1 plus the models whose score is above this one's by more than both intervals. */
  rank: number;
}

/** Two models against each other. */
export interface ModelPair {
  /** The names, in alphabetical order. */
  names: readonly [string, string];
  /** Items on which both were compared. */
  items: number;
  /** Share of these that the first wins, a tie being half a win, with a 95 % interval. */
  share: number;
  interval: Interval;
}

/** The results of all models, the best first. */
export interface ModelScores {
  models: ModelScore[];
  pairs: ModelPair[];
  /** Whether comparisons connect all models: scores of models that nothing connects cannot be compared. */
  connected: boolean;
}

/** Elo points in one unit of log odds. */
const ELO = 400 / Math.LN10;
/**
 * Precision of the prior on scores in log odds, with mean 0 and standard deviation 4 (695 Elo points). It matters only
 * for a model that wins or loses everything, whose score would be infinite.
 */
const PRIOR = 1 / 16;
const Z = 1.959964;

/** What the judgments of an item say of two models: the share of judgments that prefer the first. */
interface Outcome {
  item: string;
  one: number;
  other: number;
  share: number;
}

/**
 * Win rates and Bradley–Terry scores of the models that judgments of pairs and rankings compare; undefined if no judged
 * item names them. Gold items are left out. Judgments of one item count as one comparison with their mean, so that an
 * item with many judgments weighs no more than others. The intervals of scores are the wider of two: that of the model's
 * likelihood, and one that takes items as clusters (a sandwich estimate), since the pairs of a ranking are not independent.
 */
export function modelScores(judgments: readonly CountedJudgment[]): ModelScores | undefined {
  const names = [...new Set(judgments.flatMap(({ sides = [], gold }) => (gold ? [] : sides)))].sort();
  const outcomes = outcomesOf(judgments, new Map(names.map((name, i) => [name, i])));
  if (outcomes.length === 0) return undefined;
  const { scores, errors } = fitScores(outcomes, names.length);
  const models = names.flatMap((name, i): ModelScore[] => {
    const games = outcomes.filter(({ one, other }) => one === i || other === i);
    if (games.length === 0) return [];
    const items = new Set(games.map(({ item }) => item)).size;
    const winRate = games.reduce((sum, { one, share }) => sum + (one === i ? share : 1 - share), 0) / games.length;
    const half = Z * errors[i];
    const scoreInterval: Interval = [ELO * (scores[i] - half), ELO * (scores[i] + half)];
    return [{ name, items, winRate, interval: wilson(winRate, items), score: ELO * scores[i], scoreInterval, rank: 1 }];
  });
  for (const model of models) {
    model.rank += models.filter(({ scoreInterval: [low] }) => low > model.scoreInterval[1]).length;
  }
  models.sort((a, b) => b.score - a.score);
  return { models, pairs: pairsOf(outcomes, names), connected: isConnected(outcomes, names.length) };
}

/** One outcome for each item and two of its models. */
function outcomesOf(judgments: readonly CountedJudgment[], places: ReadonlyMap<string, number>): Outcome[] {
  const sums = new Map<string, Outcome & { n: number }>();
  const add = (item: string, a: number, b: number, share: number) => {
    const [one, other, value] = a < b ? [a, b, share] : [b, a, 1 - share];
    const key = `${one} ${other} ${item}`;
    const sum = sums.get(key) ?? { item, one, other, share: 0, n: 0 };
    sums.set(key, { ...sum, share: sum.share + value, n: sum.n + 1 });
  };
  for (const { item, judgment, sides, gold } of judgments) {
    if (!sides || gold) continue;
    const at = sides.map((name) => places.get(name)!);
    if (judgment.kind === 'pair') {
      const share = { first: 1, second: 0, tie: 0.5, 'both-bad': 0.5, unknown: undefined }[judgment.choice];
      if (share !== undefined) add(item, at[0], at[1], share);
    } else if (judgment.kind === 'ranking' && judgment.ranks.length === at.length) {
      for (const [i, rank] of judgment.ranks.entries()) {
        for (let j = i + 1; j < at.length; j++) add(item, at[i], at[j], (1 + Math.sign(judgment.ranks[j] - rank)) / 2);
      }
    }
  }
  return [...sums.values()].map(({ n, share, ...rest }) => ({ ...rest, share: share / n }));
}

/** The scores of largest posterior density in log odds, by Newton's method, and their standard errors. */
function fitScores(outcomes: readonly Outcome[], count: number): { scores: number[]; errors: number[] } {
  let scores = new Array<number>(count).fill(0);
  const posterior = () => {
    const gradient = scores.map((score) => -PRIOR * score);
    const information = scores.map((_, i) => scores.map((_, j) => (i === j ? PRIOR : 0)));
    const byItem = new Map<string, number[]>();
    for (const { item, one, other, share } of outcomes) {
      const expected = 1 / (1 + Math.exp(scores[other] - scores[one]));
      const weight = expected * (1 - expected);
      const itemGradient = byItem.get(item) ?? new Array<number>(count).fill(0);
      byItem.set(item, itemGradient);
      for (const [i, sign] of [[one, 1] as const, [other, -1] as const]) {
        gradient[i] += sign * (share - expected);
        itemGradient[i] += sign * (share - expected);
        information[i][i] += weight;
      }
      information[one][other] -= weight;
      information[other][one] -= weight;
    }
    return { gradient, covariance: inverse(information), byItem };
  };
  for (let step = 0; step < 100; step++) {
    const { gradient, covariance } = posterior();
    const change = covariance.map((row) => dot(row, gradient));
    // far from the optimum a whole step may overshoot
    const longest = Math.max(1, ...change.map(Math.abs));
    scores = scores.map((score, i) => score + change[i] / longest);
    if (Math.max(...change.map(Math.abs)) < 1e-10) break;
  }
  const { covariance, byItem } = posterior();
  const errors = covariance.map((row, i) => {
    // without the error that all scores share: only differences are known
    const likelihood = row[i] - 1 / (PRIOR * count);
    let clustered = 0;
    for (const itemGradient of byItem.values()) clustered += dot(row, itemGradient) ** 2;
    return Math.sqrt(Math.max(likelihood, clustered, 0));
  });
  return { scores, errors };
}

/** The inverse of a symmetric positive definite matrix, by Gauss and Jordan. */
function inverse(matrix: readonly (readonly number[])[]): number[][] {
  const n = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => Number(i === j))]);
  for (let at = 0; at < n; at++) {
    const pivot = rows[at][at];
    for (let j = 0; j < 2 * n; j++) rows[at][j] /= pivot;
    for (let i = 0; i < n; i++) {
      const factor = rows[i][at];
      if (i !== at) for (let j = 0; j < 2 * n; j++) rows[i][j] -= factor * rows[at][j];
    }
  }
  return rows.map((row) => row.slice(n));
}

function pairsOf(outcomes: readonly Outcome[], names: readonly string[]): ModelPair[] {
  return [...grouped(outcomes, ({ one, other }) => `${one} ${other}`).values()].map((group) => {
    const [{ one, other }] = group;
    const share = group.reduce((sum, outcome) => sum + outcome.share, 0) / group.length;
    return { names: [names[one], names[other]], items: group.length, share, interval: wilson(share, group.length) };
  });
}

function isConnected(outcomes: readonly Outcome[], count: number): boolean {
  const group = Array.from({ length: count }, (_, i) => i);
  for (const { one, other } of outcomes) {
    const [from, to] = [group[other], group[one]];
    if (from !== to) for (let i = 0; i < count; i++) if (group[i] === from) group[i] = to;
  }
  return group.every((one) => one === group[0]);
}
