/** Win rates of one policy over another, from preferences between their completions. */
import { mean, wilson } from '../../run/intervals.ts';

/** The outcome of one comparison. */
export interface Outcome {
  /** 1: the policy is better; 0: the baseline is; ½: a tie. */
  preference: number;
  /** Length of the policy's completion and of the baseline's, in characters. */
  lengths: readonly [number, number];
}

/** A win rate with its confidence interval. */
export interface WinRate {
  /** Mean preference: a tie counts ½. */
  winRate: number;
  /** The 95 % confidence interval. */
  interval: [low: number, high: number];
}

/** The win rate with Wilson's interval, which is slightly too wide when there are ties. */
export function winRateOf(outcomes: readonly Pick<Outcome, 'preference'>[]): WinRate {
  const winRate = mean(outcomes.map(({ preference }) => preference));
  return { winRate, interval: wilson(winRate, outcomes.length) };
}

/** log-odds of a win = intercept + slope · tanh(difference of lengths / scale). */
export interface LengthFit {
  intercept: number;
  slope: number;
  scale: number;
}

/** A win rate estimated at equal length. */
export interface LengthControlled extends WinRate {
  /** The regression that the estimate comes from. */
  fit: LengthFit;
}

/**
 * Estimates the win rate at equal length (Dubois et al. 2024, "Length-Controlled AlpacaEval", §3, without the term for
 * the difficulty of a prompt): the value at 0 of a logistic regression of preferences on the difference of lengths. The
 * interval is that of the intercept, by its standard error in log-odds.
 */
export function lengthControlled(outcomes: readonly Outcome[]): LengthControlled {
  const differences = outcomes.map(({ lengths: [ours, theirs] }) => ours - theirs);
  const middle = mean(differences);
  const scale = Math.sqrt(mean(differences.map((value) => (value - middle) ** 2))) || 1;
  const x = differences.map((value) => Math.tanh(value / scale));
  const { intercept, slope, error } = logisticFit(
    x,
    outcomes.map(({ preference }) => preference),
  );
  const [low, high] = [-1, 1].map((side) => sigmoid(intercept + side * 1.959964 * error));
  return { winRate: sigmoid(intercept), interval: [low, high], fit: { intercept, slope, scale } };
}

/** The probability of a win that a fit predicts for a difference of lengths, in characters. */
export const chanceAt = ({ intercept, slope, scale }: LengthFit, difference: number): number =>
  sigmoid(intercept + slope * Math.tanh(difference / scale));

/** Keeps the slope finite when the longer completion always wins. */
const RIDGE = 0.1;
const LARGEST_STEP = 2;

/**
 * Maximum likelihood by Newton's method. Steps are bounded, because they overshoot when the outcomes are separable. One
 * tie at equal length is added, which keeps the intercept and its error finite when one side always wins (Jeffreys'
 * prior, except for the slope).
 */
function logisticFit(x: readonly number[], y: readonly number[]) {
  let [intercept, slope, error] = [0, 0, 0];
  for (let iteration = 0; iteration < 50; iteration++) {
    const tie = sigmoid(intercept);
    let [ga, gb, haa, hab, hbb] = [tie - 0.5, RIDGE * slope, tie * (1 - tie), 0, RIDGE];
    for (let i = 0; i < x.length; i++) {
      const p = sigmoid(intercept + slope * x[i]);
      const w = p * (1 - p);
      ga += p - y[i];
      gb += (p - y[i]) * x[i];
      haa += w;
      hab += w * x[i];
      hbb += w * x[i] * x[i];
    }
    const determinant = haa * hbb - hab * hab;
    error = Math.sqrt(hbb / determinant);
    const [da, db] = [(hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant];
    const shrink = Math.min(1, LARGEST_STEP / Math.max(Math.abs(da), Math.abs(db), 1e-12));
    intercept -= shrink * da;
    slope -= shrink * db;
    if (Math.abs(da) + Math.abs(db) < 1e-9) break;
  }
  return { intercept, slope, error };
}

/** The mean of differences, with a 95 % confidence interval by their standard deviation. */
export function meanDifference(differences: readonly number[]): { difference: number; interval: [number, number] } {
  const difference = mean(differences);
  const variance = mean(differences.map((value) => (value - difference) ** 2)) / (differences.length - 1);
  const half = 1.959964 * Math.sqrt(variance);
  return { difference, interval: [difference - half, difference + half] };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
