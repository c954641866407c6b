/**
 * Over-optimization of a reward (Gao, Schulman and Hilton 2022, "Scaling Laws for Reward Model Overoptimization"): how a proxy, the
 * reward that is learned from, and the gold reward that it stands for, part as a policy goes away from where the proxy was
 * taught. Three ways of going are measured: the best of n answers, PPO with nothing that holds it back, and PPO with guards. What each gains at
 * a distance d = √KL is fitted by the paper's forms (overoptimization/fit.ts):
 *
 *   R_bon(d) = d (α − β d)        R_rl(d) = d (α − β log d)
 *
 * Each way is a run of its own, of heed best-of-n or heed ppo, in this run's folder. Where it departs from the paper: one proxy, not a
 * family of sizes; KL by one answer to each prompt of an evaluation, so that it is noisy where it is large.
 *
 * Run it: heed overoptimization --model runs/sft/model --reward runs/reward/model
 */
import { basename } from 'node:path';
import { z } from 'zod';
import { HeedError } from '../../error.ts';
import { type BestOfN, type BestOfNInput, bestOfNSchema, createBestOfN } from '../best-of-n/best-of-n.ts';
import { asksNobody } from '../policies/options.ts';
import { createPpo, type PpoInput, type PpoLearner } from '../ppo/learner.ts';
import { ppoSchema } from '../ppo/options.ts';
import { hasEnsemble } from '../rewards/open.ts';
import { type Live, learnerOf, type Opener, type Surroundings } from '../training/input.ts';
import { type Guard, guardsSchema, readGuards } from './guards.ts';

const drawing = bestOfNSchema.shape;

export const overoptimizationSchema = ppoSchema.omit({ kl: true, keepBest: true, ...asksNobody }).extend({
  reward: z.string().describe('the proxy that answers are chosen by and learned from: as in heed ppo'),
  gold: z.string().default('reviews').describe('the reward that the proxy stands for; nothing learns from it'),
  steps: ppoSchema.shape.steps.unwrap().default(40).describe('of each training by PPO'),
  evaluations: ppoSchema.shape.evaluations.unwrap().default(20).describe('of each, evenly spaced'),
  guards: guardsSchema
    .default('kl,target,repetition')
    .describe('what PPO is guarded by, a curve each: kl, target, length, repetition, sameness, pessimism; see below'),
  bestOf: z
    .object({
      answers: drawing.answers.unwrap().default(64).describe('n at most'),
      prompts: z.number().int().min(1).default(48).describe('prompts answered so often, drawn by the seed'),
      batch: drawing.batch,
    })
    .prefault({}),
});
export type OveroptimizationOptions = z.output<typeof overoptimizationSchema>;
export type OveroptimizationInput = z.input<typeof overoptimizationSchema>;

/** A way to go from the policy at the start: a run of its own, in a folder of this run's. */
export type Way = { name: string; folder: string; steps: number } & (
  | { method: 'best-of-n'; settings: BestOfNInput }
  | { method: 'rl'; settings: PpoInput }
);

/** Best of n, PPO without a guard, and each again with each guard that applies to it. */
export function waysOf({ guards, bestOf, ...training }: OveroptimizationOptions): Way[] {
  const guarded = [{ name: '', settings: {} }, ...readGuards(guards)!] satisfies Guard[];
  const folder = (method: string, name: string) =>
    [method, name.replaceAll(/[^\w.+]+/g, '-')].filter(Boolean).join('-');
  const best = guarded.flatMap(({ name, settings: { rewardCall, ...rest } }): Way[] => {
    if (name !== '' && (!rewardCall || Object.keys(rest).length > 0)) return [];
    const settings = { ...training, ...bestOf, rewardCall: { ...training.rewardCall, ...rewardCall } };
    const steps = Math.ceil(bestOf.prompts / bestOf.batch);
    return [{ name: name || 'best of n', folder: folder('best-of-n', name), steps, method: 'best-of-n', settings }];
  });
  const learned = guarded.map(({ name, settings }): Way => {
    const rewardCall = { ...training.rewardCall, ...settings.rewardCall };
    const free: PpoInput = { ...training, guards: {}, kl: { beta: 0, controller: 'fixed' }, keepBest: false };
    return {
      ...{ name: name || 'PPO', folder: folder('ppo', name), steps: training.steps },
      ...{ method: 'rl', settings: { ...free, ...settings, rewardCall } },
    };
  });
  return [...best, ...learned];
}

export interface Observatory {
  options: OveroptimizationOptions;
  name: string;
  ways: readonly Way[];
  /** Of all ways together. */
  steps: number;
  open: {
    'best-of-n': (settings: BestOfNInput) => Promise<BestOfN>;
    rl: (settings: PpoInput) => Promise<PpoLearner>;
  };
  [Symbol.dispose](): void;
}

/** What measures over-optimization. */
export const createOveroptimization: Opener<OveroptimizationInput & Surroundings, Observatory> = learnerOf(
  overoptimizationSchema,
  create,
);

async function create(options: OveroptimizationOptions, { pull, onNotice }: Live): Promise<Observatory> {
  const open: Observatory['open'] = {
    'best-of-n': (settings) => createBestOfN({ ...settings, pull, onNotice }),
    rl: (settings) => createPpo({ ...settings, pull, onNotice }),
  };
  const ways = waysOf(options);
  if (ways.some(({ name }) => name.includes('pessimism')) && !hasEnsemble(options.reward)) {
    throw new HeedError(`Only an ensemble can be pessimistic, and "${options.reward}" is none.`, {
      hint: 'Train one with heed reward --members 3, or give several folders with commas between; or leave the guard out.',
    });
  }
  const [first] = ways;
  // what is wrong with model, rewards or prompts is told before anything is computed
  if (first.method === 'best-of-n') (await open['best-of-n'](first.settings))[Symbol.dispose]();
  return {
    options,
    name: `${basename(options.model)}-overoptimization`,
    ways,
    steps: ways.reduce((sum, { steps }) => sum + steps, 0),
    open,
    [Symbol.dispose]() {},
  };
}
