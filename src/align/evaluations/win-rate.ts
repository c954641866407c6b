/** Win rates of one policy over another, from which of two answers is better. */
import { random } from '../../random.ts';
import { mean } from '../preferences/evaluation.ts';
import { wilson } from '../rewards/evaluation.ts';

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

const RESAMPLES = 500;

/**
 * The win rate that would be if both answers were as long (Dubois et al. 2024, "Length-Controlled AlpacaEval", §3, without the
 * term of how hard a prompt is): a logistic regression of the preferences on the difference of lengths, read at 0. The interval is that of
 * 95 % of so many draws of as many prompts.
 */
export function lengthControlled(outcomes: readonly Outcome[], seed: number): LengthControlled {
  const differences = outcomes.map(({ lengths: [ours, theirs] }) => ours - theirs);
  const middle = mean(differences);
  const scale = Math.sqrt(mean(differences.map((value) => (value - middle) ** 2))) || 1;
  const x = differences.map((value) => Math.tanh(value / scale));
  const y = outcomes.map(({ preference }) => preference);
  const [intercept, slope] = logisticFit(x, y);
  const draws = random(seed, 'resamples');
  const drawn = Array.from({ length: RESAMPLES }, () => {
    const chosen = x.map(() => draws.integer(x.length));
    return sigmoid(
      logisticFit(
        chosen.map((i) => x[i]),
        chosen.map((i) => y[i]),
      )[0],
    );
  }).sort((a, b) => a - b);
  const at = (share: number) => drawn[Math.round(share * (RESAMPLES - 1))];
  return { winRate: sigmoid(intercept), interval: [at(0.025), at(0.975)], fit: { intercept, slope, scale } };
}

/** The chance of a win that a fit gives for a difference of lengths. */
export const chanceAt = ({ intercept, slope, scale }: LengthFit, difference: number): number =>
  sigmoid(intercept + slope * Math.tanh(difference / scale));

/** Keep coefficients finite where one side always wins, or the longer answer does. */
const RIDGE = [0.01, 0.1];
const LARGEST_STEP = 2;

/** The maximum of the likelihood by Newton's method; its steps are bounded, as they overshoot where outcomes can be separated. */
function logisticFit(x: readonly number[], y: readonly number[]): [intercept: number, slope: number] {
  let [a, b] = [0, 0];
  for (let iteration = 0; iteration < 50; iteration++) {
    let [ga, gb, haa, hab, hbb] = [RIDGE[0] * a, RIDGE[1] * b, RIDGE[0], 0, RIDGE[1]];
    for (let i = 0; i < x.length; i++) {
      const p = sigmoid(a + b * x[i]);
      const w = p * (1 - p);
      ga += p - y[i];
      gb += (p - y[i]) * x[i];
      haa += w;
      hab += w * x[i];
      hbb += w * x[i] * x[i];
    }
    const determinant = haa * hbb - hab * hab;
    const [da, db] = [(hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant];
    const shrink = Math.min(1, LARGEST_STEP / Math.max(Math.abs(da), Math.abs(db), 1e-12));
    a -= shrink * da;
    b -= shrink * db;
    if (Math.abs(da) + Math.abs(db) < 1e-9) break;
  }
  return [a, b];
}

/** The mean of differences, with an interval of 95 % by their deviation. */
export function meanDifference(differences: readonly number[]): { difference: number; interval: [number, number] } {
  const difference = mean(differences);
  const variance = mean(differences.map((value) => (value - difference) ** 2)) / (differences.length - 1);
  const half = 1.959964 * Math.sqrt(variance);
  return { difference, interval: [difference - half, difference + half] };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
