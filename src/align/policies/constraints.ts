/**
 * Rewards that are to stay above (or below) a threshold while another is raised: with a multiplier λ_k each, learned by dual
 * ascent (Dai et al. 2023, "Safe RLHF", §3.3).
 *
 *   max E[A]  subject to  E[B_k] ≥ b_k        r = (A/σ_A + Σ λ_k B_k/σ_k) / (1 + Σ λ_k)
 *
 *   λ_k ← max(0, λ_k + η (b_k − mean B_k) / σ_k)        before each step's update, from its answers
 *
 * σ are deviations over the first step's answers, so that λ and η mean the same whatever the rewards are counted in. Where it
 * departs from the paper: any number of constraints; λ goes in steps, not its logarithm, so that it can begin at 0 and come back to it.
 * A layer above the algorithms: each learns from r as from any reward.
 */
import { z } from 'zod';
import { HeedError } from '../../error.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { explained } from '../reward-functions/reward-function.ts';
import { deviation, mean } from './advantages.ts';
import type { PolicyAlgorithm } from './algorithm.ts';
import type { Rollout } from './rollouts.ts';

export const lagrangeSchema = z.object({
  start: z.number().min(0).default(0).describe('λ of each constraint at first'),
  rate: z.number().min(0).default(0.2).describe('η: what λ rises by for each deviation that a constraint is missed by'),
});

/** `sign` · E[reward] ≥ `sign` · threshold. */
export interface Constraint {
  /** The reward's. */
  name: string;
  sign: 1 | -1;
  threshold: number;
}

/** Reads `B >= 0.5 and C <= 2`. @throws HeedError where it is nothing of the kind. */
export function parseConstraints(text: string): Constraint[] {
  return text.split(/\s+and\s+/).map((part) => {
    const [, name, relation, number] = part.trim().match(/^(.+?)\s*(>=|<=)\s*([+-]?[\d.]+(?:e[+-]?\d+)?)$/i) ?? [];
    const threshold = Number(number);
    if (number !== undefined && Number.isFinite(threshold)) {
      return { name, sign: relation === '>=' ? 1 : -1, threshold };
    }
    throw new HeedError(`"${part.trim()}" is no constraint.`, {
      hint: 'Write a reward, >= or <=, and a number, several with "and" between: "runs/harmless/model >= 0.5 and length.js <= 80".',
    });
  });
}

/** The objective, which tells what the constrained rewards are as well. The rewards stay the caller's. */
export function withConstraints(objective: Reward, constrained: readonly Reward[]): Reward {
  const explain: Reward['explain'] = async (answers: readonly Completion[], signal) => {
    const [scores, ...all] = await Promise.all([
      explained(objective, answers, signal),
      ...constrained.map((reward) => reward.score(answers, signal)),
    ]);
    return { ...scores, others: all.map((scores, k) => ({ name: constrained[k].name, scores })) };
  };
  return {
    name: objective.name,
    explain,
    score: objective.score,
  };
}

interface ConstraintState {
  lambdas: readonly number[];
  /** Of the objective and of each constrained reward, in the first step. */
  deviations?: readonly number[];
}

/** An algorithm that learns from rewards with the multipliers in them. Rollouts have to tell the constrained rewards as `others`. */
export function constrain(
  algorithm: PolicyAlgorithm,
  constraints: readonly Constraint[],
  { start, rate }: z.output<typeof lagrangeSchema>,
): PolicyAlgorithm {
  let state: ConstraintState = { lambdas: constraints.map(() => start) };
  return {
    update(rollout, learningRate, step) {
      const { scores, others = [] } = rollout;
      const deviations = state.deviations ?? [scores, ...others.map((of) => of.scores)].map((of) => deviation(of) || 1);
      const means = others.map((of) => mean(of.scores));
      const lambdas = constraints.map(({ sign, threshold }, k) =>
        Math.max(0, state.lambdas[k] + (rate * sign * (threshold - means[k])) / deviations[k + 1]),
      );
      state = { lambdas, deviations };
      const weights = constraints.map(({ sign }, k) => sign * lambdas[k]);
      const metrics = algorithm.update(mixed(rollout, weights, deviations), learningRate, step);
      const told = constraints.flatMap(({ name }, k) => [
        [`constraint/${name}`, means[k]],
        [`lambda/${name}`, lambdas[k]],
      ]);
      return { ...metrics, ...Object.fromEntries(told) };
    },
    save() {
      const { state: own, tensors } = algorithm.save();
      return { state: { constraints: state, algorithm: own }, tensors };
    },
    restore({ state: saved, tensors }) {
      const both = saved as { constraints: ConstraintState; algorithm: unknown };
      state = both.constraints;
      algorithm.restore({ state: both.algorithm, tensors });
    },
    [Symbol.dispose]: algorithm[Symbol.dispose],
  };
}

/** A rollout whose scores, with their steps and parts, are the Lagrangian's. */
function mixed(rollout: Rollout, weights: readonly number[], [unit, ...units]: readonly number[]): Rollout {
  const { scores, others = [], steps, parts = [{ name: 'objective', weight: 1, scores }] } = rollout;
  const total = 1 + weights.reduce((sum, weight) => sum + Math.abs(weight), 0);
  const terms = others.map((of, k) => ({ ...of, weight: weights[k] / units[k] / total }));
  const by = 1 / (unit * total);
  return {
    ...rollout,
    scores: scores.map((score, i) => terms.reduce((sum, term) => sum + term.weight * term.scores[i], score * by)),
    ...(steps && { steps: steps.map((own) => own.map(({ at, reward }) => ({ at, reward: reward * by }))) }),
    // where parts are brought to one scale, λ alone is what a constraint counts for
    parts: [...parts, ...others.map((of, k) => ({ ...of, weight: weights[k] }))],
  };
}

/** Whether rewards keep to the constraints, by their means as an evaluation tells them. */
export const keepsTo = (constraints: readonly Constraint[], measures: Readonly<Record<string, number>>): boolean =>
  constraints.every(({ name, sign, threshold }) => sign * measures[`eval/${name}`] >= sign * threshold);
