/**
 * What two rewards cost one another: a policy is trained for each of several weightings of them, by RLOO, and the policies that no
 * other is better than in both are their Pareto front (as Rame et al. 2023, "Rewarded Soups", §4, draw it, of policies trained one by one).
 *
 *   r = (1 − w) A/σ_A + w B/σ_B        σ: deviations over the answers of the model before it is trained
 *
 * The hypervolume is the area of what the front is better than in both, and the start is not: 0 where nothing was gained in either, whatever
 * was gained in one. docs/reference/multi-objective.md has the settings and results.
 *
 * Run it: heed pareto --model runs/sft/model --reward A --against B
 */
import { basename } from 'node:path';
import { z } from 'zod';
import { seedFor } from '../../random.ts';
import { deviation, mean } from '../policies/advantages.ts';
import type { Tensors } from '../policies/algorithm.ts';
import type { PolicyLearner, PolicySample, PolicyStep } from '../policies/learner.ts';
import { asksNobody } from '../policies/options.ts';
import { createRollouts } from '../policies/rollouts.ts';
import { type PolicyParts, setUpPolicy } from '../policies/setup.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import { mixedReward, openReward } from '../rewards/open.ts';
import { checkSameData } from '../training/progress.ts';
import { createRloo, type ReinforceOptions, rlooSchema } from './reinforce.ts';

export const paretoSchema = rlooSchema.omit({ keepBest: true, ...asksNobody }).extend({
  reward: z.string().describe('the first reward, as in heed ppo'),
  against: z.string().describe('the second reward'),
  weights: z
    .array(z.number().min(0).max(1))
    .min(1)
    .default([0, 0.25, 0.5, 0.75, 1])
    .describe('of the second reward, the first having the rest: a policy is trained for each'),
  evaluations: rlooSchema.shape.evaluations.unwrap().default(0).describe('on the way, of each policy'),
});
export type ParetoOptions = z.output<typeof paretoSchema>;
export type ParetoInput = z.input<typeof paretoSchema>;

/** A policy, by what its answers to the evaluation's prompts are worth. */
export interface ParetoPoint {
  /** Of the second reward; undefined of the model before it was trained. */
  weight?: number;
  /** Means of both rewards. */
  rewards: [first: number, second: number];
  /** Mean log π − log π_ref, in nats an answer. */
  kl: number;
}

export interface ParetoStep {
  /** Steps so far, of all policies. */
  step: number;
  /** Of the policy under way. */
  weight: number;
  inner: PolicyStep;
  /** A policy that is done, and some of its answers. */
  point?: ParetoPoint;
  samples?: readonly PolicySample[];
  done: boolean;
}

type ParetoParts = Omit<PolicyParts, 'model' | 'reward'>;

interface State {
  points: ParetoPoint[];
  /** A policy is under way. */
  begun: boolean;
  fingerprint: string;
}

export type ParetoLearner = Awaited<ReturnType<typeof create>>;

/** Throws a ZodError at once where settings are wrong; rejects with a HeedError where model, rewards or prompts cannot be used. */
export function createPareto(given: ParetoInput, parts: ParetoParts = {}): Promise<ParetoLearner> {
  return create(paretoSchema.parse(given), parts);
}

async function create(options: ParetoOptions, parts: ParetoParts) {
  const rewards: Reward[] = [];
  const release = () => {
    for (const reward of rewards) reward[Symbol.dispose]();
  };
  try {
    for (const text of [options.reward, options.against]) {
      rewards.push(await openReward(text, parts.pull, options.rewardCall));
    }
    const { start, deviations } = await evaluateStart(options, parts, rewards);
    const names = rewards.map(({ name }) => name);
    return createParetoLearner(options, {
      start,
      names,
      [Symbol.dispose]: release,
      open: (weight) => open(weight, deviations),
    });
  } catch (error) {
    release();
    throw error;
  }

  function open(weight: number, deviations: readonly number[]) {
    const mix = mixedReward(
      rewards.map((reward, k) => ({ weight: (k === 0 ? 1 - weight : weight) / deviations[k], reward })),
    );
    return createRloo(options, { ...parts, reward: { ...mix, [Symbol.dispose]() {} } });
  }
}

/** The model before it is trained: what its answers are worth, and how much that differs. */
async function evaluateStart(options: ParetoOptions, parts: ParetoParts, rewards: readonly Reward[]) {
  const both = { ...mixedReward(rewards.map((reward) => ({ weight: 1, reward }))), [Symbol.dispose]() {} };
  const setup = await setUpPolicy({ ...options, keepBest: false }, { ...parts, reward: both });
  const { policy, reward, layout, evaluationPrompts } = setup;
  const { maxTokens, temperature, generate, seed } = options;
  const rollouts = createRollouts(policy, reward, { layout, maxTokens, temperature, batch: generate.batch });
  try {
    const told = await rollouts.run(evaluationPrompts, seedFor(seed, 'evaluation'));
    const scores = told.parts!.map((part) => part.scores);
    const start: ParetoPoint = { rewards: [mean(scores[0]), mean(scores[1])], kl: 0 };
    return { start, deviations: scores.map((of) => deviation(of) || 1) };
  } finally {
    for (const part of [rollouts, policy, reward]) part[Symbol.dispose]();
  }
}

interface Tools {
  start: ParetoPoint;
  /** Of the rewards. */
  names: readonly string[];
  open(weight: number): Promise<PolicyLearner<ReinforceOptions>>;
  [Symbol.dispose](): void;
}

function createParetoLearner(options: ParetoOptions, { start, names, open, [Symbol.dispose]: release }: Tools) {
  const { weights, steps } = options;
  const total = weights.length * steps;
  let state: State = { points: [], begun: false, fingerprint: JSON.stringify(start) };
  let learner: PolicyLearner<ReinforceOptions> | undefined;
  /** Of a policy that was under way when the run was stopped, until it goes on. */
  let waiting: { state: unknown; tensors: Tensors } | undefined;

  return {
    options,
    name: `${basename(options.model)}-pareto`,
    steps: total,
    start,
    names,
    /** The policies that are done. */
    points: (): readonly ParetoPoint[] => state.points,
    /** Writes the policy of the last step. */
    saveModel: (folder: string) => learner?.policy.save(folder, { dtype: options.dtype }),
    /** A step of the policy under way. */
    async next(): Promise<ParetoStep> {
      const weight = weights[state.points.length];
      if (!state.begun) {
        learner?.[Symbol.dispose]();
        learner = undefined;
      }
      learner ??= await open(weight);
      if (waiting) learner.restore(waiting);
      waiting = undefined;
      const inner = await learner.next();
      const step = state.points.length * steps + inner.step;
      if (!inner.done) {
        state = { ...state, begun: true };
        return { step, weight, inner, done: false };
      }
      const { measures, kl, samples } = inner.evaluation!;
      const [first, second] = names.map((name) => measures[`eval/${name}`]);
      const point: ParetoPoint = { weight, rewards: [first, second], kl };
      state = { ...state, points: [...state.points, point], begun: false };
      return { step, weight, inner, point, samples, done: step >= total };
    },
    save() {
      const own = state.begun ? (waiting ?? learner!.save()) : undefined;
      return { state: { ...state, learner: own?.state }, tensors: own?.tensors ?? {} };
    },
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const { learner: own, ...saved } = checkpoint.state as State & { learner: unknown };
      checkSameData(saved, state, 'model, rewards or prompts');
      state = saved;
      waiting = saved.begun ? { state: own, tensors: checkpoint.tensors as Tensors } : undefined;
    },
    [Symbol.dispose]() {
      learner?.[Symbol.dispose]();
      release();
    },
  };
}

/** Which points another one is better than in one reward, and no worse in the other. */
export const dominated = (points: readonly ParetoPoint[]): boolean[] =>
  points.map(({ rewards: [a, b] }) => points.some(({ rewards: [c, d] }) => c >= a && d >= b && (c > a || d > b)));

/** The area between a reference and what points are better than in both rewards (Zitzler & Thiele 1998). */
export function hypervolume(points: readonly ParetoPoint[], [low, left]: readonly [number, number]): number {
  const inside = points.map(({ rewards: [a, b] }) => [a - low, b - left]).filter(([a, b]) => a > 0 && b > 0);
  let [area, height] = [0, 0];
  for (const [a, b] of inside.sort((p, q) => q[0] - p[0])) {
    if (b <= height) continue;
    area += a * (b - height);
    height = b;
  }
  return area;
}
