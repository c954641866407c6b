/** Win rates of one policy over another, from which of two answers is better. */
import { wilson } from '../../run/intervals.ts';
import { mean } from '../preferences/evaluation.ts';

export interface Outcome {
  /** 1: the policy's answer is better; 0: the baseline's is; ½: a tie. */
  preference: number;
  /** Of the policy's answer and of the baseline's. */
  lengths: readonly [number, number];
}

export interface WinRate {
  /** Mean preference: a tie is half a win. */
  winRate: number;
  /** Of 95 %. */
  interval: [low: number, high: number];
}

/** With Wilson's interval, a tie being half a win and half a loss: a little wider than it has to be where there are ties. */
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

export interface LengthControlled extends WinRate {
  fit: LengthFit;
}

/**
 * The win rate that would be if both answers were as long (Dubois et al. 2024, "Length-Controlled AlpacaEval", §3, without the
 * term of how hard a prompt is): a logistic regression of the preferences on the difference of lengths, read at 0. The interval is by
 * the intercept's standard error, on the scale of log-odds.
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

/** The chance of a win that a fit gives for a difference of lengths. */
export const chanceAt = ({ intercept, slope, scale }: LengthFit, difference: number): number =>
  sigmoid(intercept + slope * Math.tanh(difference / scale));

/** Keeps the slope finite where the longer answer always wins. */
const RIDGE = 0.1;
const LARGEST_STEP = 2;

/**
 * The maximum of the likelihood by Newton's method; its steps are bounded, as they overshoot where outcomes can be separated. A tie of
 * answers as long is added, which keeps the intercept and its error finite where one side always wins (Jeffreys' prior, but for a slope).
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

/** The mean of differences, with an interval of 95 % by their deviation. */
export function meanDifference(differences: readonly number[]): { difference: number; interval: [number, number] } {
  const difference = mean(differences);
  const variance = mean(differences.map((value) => (value - difference) ** 2)) / (differences.length - 1);
  const half = 1.959964 * Math.sqrt(variance);
  return { difference, interval: [difference - half, difference + half] };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
