/**
 * The trade-off between two rewards: RLOO trains a policy for each of several weightings. The policies that no other
 * one dominates are the Pareto front (as in Rame et al. 2023, "Rewarded Soups", §4, for policies trained one by one).
 *
 *   r = (1 − w) A/σ_A + w B/σ_B        σ: standard deviations over the completions of the initial model
 *
 * The hypervolume is the area of the rewards that the front dominates and the initial model does not: 0 unless a policy
 * gained in both. docs/reference/multi-objective.md has the settings and results.
 *
 * Run it: heed pareto --model runs/sft/model --reward A --against B
 */

import { z } from 'zod';
import { Disposables, opening } from '../../disposables.ts';
import type { Model } from '../../lm/model.ts';
import { basename } from '../../node.ts';
import { numberFrom } from '../../options.ts';
import { seedFor } from '../../random.ts';
import { mean } from '../../run/intervals.ts';
import type { Training } from '../../run/training.ts';
import { deviation } from '../policies/advantages.ts';
import type { Tensors } from '../policies/algorithm.ts';
import { createCompletionLearner } from '../policies/completion-learner.ts';
import type { PolicyLearner, PolicyStep } from '../policies/learner.ts';
import { asksNobody } from '../policies/options.ts';
import type { PolicySample } from '../policies/policy-evaluation.ts';
import { localPolicy } from '../policies/remote-policy.ts';
import { createRollouts } from '../policies/rollouts.ts';
import { type PolicyInput, setUpPolicy } from '../policies/setup.ts';
import type { OpenReward, Reward } from '../reward-functions/reward-function.ts';
import { mixedReward, openRewardOption } from '../rewards/open.ts';
import { type Live, type Opener, openerOf } from '../training/input.ts';
import { checkSameData } from '../training/steps.ts';
import { copyOf } from '../training/trainable.ts';
import { type TrainingResult, trainingOf } from '../training/verb.ts';
import { createReinforceAlgorithm, type ReinforceOptions, rlooSchema, rlooSettings } from './reinforce.ts';

/** Schema of the options of `pareto`: types, ranges, defaults and help texts. */
export const paretoSchema = rlooSettings.omit({ keepBest: true, ...asksNobody }).extend({
  reward: z.string().describe('the first reward, in the same form as in heed ppo'),
  against: z.string().describe('the second reward, likewise'),
  weights: z
    .array(numberFrom(0).max(1))
    .min(1)
    .default([0, 0.25, 0.5, 0.75, 1])
    .describe('weights w of the second reward, the first has 1 − w; a policy is trained for each'),
  evaluations: rlooSettings.shape.evaluations
    .unwrap()
    .default(0)
    .describe('evaluations of each policy during training'),
});
/** The options of `pareto`, with their defaults. */
export type ParetoOptions = z.output<typeof paretoSchema>;
/** The input of `pareto`. */
export type ParetoInput = PolicyInput<z.input<typeof paretoSchema>>;

/** A policy by its mean rewards on the evaluation prompts. */
export interface ParetoPoint {
  /** Weight of the second reward; undefined for the initial model. */
  weight?: number;
  /** Means of both rewards. */
  rewards: [first: number, second: number];
  /** Mean KL from the reference, in nats per completion. */
  kl: number;
}

/** A step of `pareto`: a step of one of its policies. */
export interface ParetoStep {
  /** Steps of all policies so far. */
  step: number;
  /** Weight of the second reward for the current policy. */
  weight: number;
  /** The step of the current policy. */
  inner: PolicyStep;
  /** The policy's rewards, if this was its last step. */
  point?: ParetoPoint;
  /** A few of its completions, if this was its last step. */
  samples?: readonly PolicySample[];
  /** Whether this was the last step of the last policy. */
  done: boolean;
}

interface State {
  points: ParetoPoint[];
  /** Whether a policy is in training. */
  begun: boolean;
  fingerprint: string;
}

/** Trains one policy after another, a step at a time. */
export type ParetoLearner = Awaited<ReturnType<typeof create>>;

/** Opens the learner that `trainPareto` runs. */
export const createPareto: Opener<ParetoInput, ParetoLearner> = openerOf(paretoSchema, (options, live) =>
  create(options, live, false),
);

/** The result of `pareto`. */
export interface ParetoResult extends TrainingResult {
  /**
   * The initial model, then the policies in the order of their weights, each with its model, the caller's to dispose
   * of.
   */
  points: (ParetoPoint & { dominated: boolean; model?: Model })[];
  /** Area of the rewards that the front dominates and the initial model does not. */
  hypervolume: number;
}

/**
 * Trains a policy for each of several weightings of two rewards. Each starts from a copy of the model, which does not
 * change.
 *
 *     const { points } = await pareto({ model: 'reviews-base', data: prompts, reward: helpful, against: harmless });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function pareto(input: ParetoInput): Training<ParetoStep, ParetoResult> {
  return trainingOf(
    openerOf(paretoSchema, (options, live) => create(options, live, true)),
    input,
    paretoMetrics,
    (learner) => {
      const all = [learner.start, ...learner.points()];
      const worse = dominated(all);
      const models = [undefined, ...learner.models];
      return {
        points: all.map((point, i) => ({ ...point, dominated: worse[i], ...(models[i] && { model: models[i] }) })),
        hypervolume: hypervolume(learner.points(), learner.start.rewards),
      };
    },
  );
}

/** The metrics of a step, by name. */
export const paretoMetrics = ({ weight, inner, point }: ParetoStep): Record<string, number> => ({
  weight,
  ...inner.metrics,
  ...(point && pointMetrics(point)),
});

/** The metrics of a finished policy, by name. */
export const pointMetrics = ({ rewards, kl }: ParetoPoint): Record<string, number> => ({
  'eval/first': rewards[0],
  'eval/second': rewards[1],
  'eval/kl': kl,
});

/** With `keep`, the models of finished policies stay in memory, and are not disposed of with the learner. */
function create(options: ParetoOptions, live: Live, keep: boolean) {
  return opening(async (scope) => {
    const rewards: OpenReward[] = [];
    for (const path of ['reward', 'against'] as const) {
      rewards.push(await openRewardOption(path, options[path], live, scope, options.rewardCall));
    }
    const { start, deviations } = await evaluateStart(options, live, rewards);
    const names = rewards.map(({ name }) => name);
    return createParetoLearner(options, { start, names, keep, scope, open: (weight) => open(weight, deviations) });

    async function open(weight: number, deviations: readonly number[]) {
      const reward = mixedReward(
        rewards.map((reward, k) => ({ weight: (k === 0 ? 1 - weight : weight) / deviations[k], reward })),
      );
      const passed = live.model as Model | undefined;
      const copy = passed && { ...passed, parameters: copyOf(passed.parameters) };
      try {
        const model = copy && { model: copy };
        const learner = await createCompletionLearner(
          'rloo',
          rlooSchema.parse(options),
          { ...live, ...model, reward },
          createReinforceAlgorithm,
        );
        return { learner, copy };
      } catch (error) {
        copy?.[Symbol.dispose]();
        throw error;
      }
    }
  });
}

/** The initial model: the means and standard deviations of both rewards of its completions. */
async function evaluateStart(options: ParetoOptions, live: Live, rewards: readonly Reward[]) {
  using scope = new Disposables();
  const both = mixedReward(rewards.map((reward) => ({ weight: 1, reward })));
  const { policy, reward, layout, evaluationPrompts } = await setUpPolicy(
    { ...options, keepBest: false },
    { ...live, reward: both },
    scope,
  );
  const { maxTokens, temperature, generate, seed } = options;
  const rollouts = scope.use(
    createRollouts(localPolicy(policy, 'pareto'), reward, { layout, maxTokens, temperature, batch: generate.batch }),
  );
  const { parts } = await rollouts.run(evaluationPrompts, seedFor(seed, 'evaluation'));
  const scores = parts!.map((part) => part.scores);
  const start: ParetoPoint = { rewards: [mean(scores[0]), mean(scores[1])], kl: 0 };
  return { start, deviations: scores.map((values) => deviation(values) || 1) };
}

interface Tools {
  start: ParetoPoint;
  /** Names of the rewards. */
  names: readonly string[];
  /** Opens the learner of a policy; for a model that was passed in, with the copy that it trains. */
  open(weight: number): Promise<{ learner: PolicyLearner<ReinforceOptions>; copy: Model | undefined }>;
  keep: boolean;
  scope: Disposables;
}

function createParetoLearner(options: ParetoOptions, { start, names, open, keep, scope }: Tools) {
  const { weights, steps } = options;
  const total = weights.length * steps;
  let state: State = { points: [], begun: false, fingerprint: JSON.stringify(start) };
  let learner: PolicyLearner<ReinforceOptions> | undefined;
  let copy: Model | undefined;
  const models: Model[] = [];
  const close = () => {
    learner?.[Symbol.dispose]();
    copy?.[Symbol.dispose]();
    [learner, copy] = [undefined, undefined];
  };
  scope.defer(close);
  /** The checkpoint of the policy that was in training when the run stopped, until it resumes. */
  let waiting: { state: unknown; tensors: Tensors } | undefined;

  return {
    options,
    name: `${basename(options.model)}-pareto`,
    steps: total,
    start,
    names,
    /** The models of finished policies, with `keep`. */
    models,
    /** The finished policies. */
    points: (): readonly ParetoPoint[] => state.points,
    /** Writes the policy of the last step. */
    saveModel: (folder: string) =>
      learner && localPolicy(learner.policy, 'pareto').save(folder, { dtype: options.dtype }),
    /** A step of the current policy. */
    async next(): Promise<ParetoStep> {
      const weight = weights[state.points.length];
      if (!state.begun) close();
      if (!learner) ({ learner, copy } = await open(weight));
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
      if (keep) {
        models.push(learner.finish());
        copy = undefined; // it is what finish gave
      }
      return { step, weight, inner, point, samples, done: step >= total };
    },
    save() {
      const saved = state.begun ? (waiting ?? learner!.save()) : undefined;
      return { state: { ...state, learner: saved?.state }, tensors: saved?.tensors ?? {} };
    },
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const { learner: learned, ...saved } = checkpoint.state as State & { learner: unknown };
      checkSameData(saved, state, 'model, rewards or prompts');
      state = saved;
      waiting = saved.begun ? { state: learned, tensors: checkpoint.tensors as Tensors } : undefined;
    },
    [Symbol.dispose]: scope[Symbol.dispose],
  };
}

/** For each point, whether another one is better in one reward and no worse in the other: [points]. */
export const dominated = (points: readonly ParetoPoint[]): boolean[] =>
  points.map(({ rewards: [a, b] }) => points.some(({ rewards: [c, d] }) => c >= a && d >= b && (c > a || d > b)));

/** The area that points dominate above a reference point (Zitzler & Thiele 1998). */
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
