/**
 * Measures reward over-optimization (Gao, Schulman and Hilton 2022, "Scaling Laws for Reward Model Overoptimization"):
 * how the proxy, the reward that a policy optimizes, and the gold reward diverge as the policy moves away from the
 * initial one. A policy moves in three ways: best of n, PPO without guards, and PPO with guards. The gain of each at a
 * distance d = √KL is fitted by the paper's scaling laws (overoptimization/fit.ts):
 *
 *   R_bon(d) = d (α − β d)        R_rl(d) = d (α − β log d)
 *
 * Each way is a run of heed best-of-n or heed ppo in a folder inside this run's. Departures from the paper: one proxy,
 * not a family of sizes; the KL is estimated from one completion of each prompt of an evaluation, so that large values
 * are noisy.
 *
 * Run it: heed overoptimization --model runs/sft/model --reward runs/reward/model
 */

import { z } from 'zod';
import { HeedError } from '../../error.ts';
import { basename } from '../../node.ts';
import { optionsOf, wholeNumber } from '../../options.ts';
import { type BestOfN, type BestOfNInput, bestOfNSchema, createBestOfN } from '../best-of-n/best-of-n.ts';
import { asksNobody } from '../policies/options.ts';
import { createLanguagePpo, type PpoInput, type PpoLearner } from '../ppo/learner.ts';
import { languagePpoSchema } from '../ppo/options.ts';
import { hasEnsemble } from '../rewards/open.ts';
import { type Live, type Opener, openerOf, type Surroundings } from '../training/input.ts';

type GuardedSettings = Pick<PpoInput, 'kl' | 'guards' | 'rewardCall'>;

const kinds: Record<string, { usual: number; settings(strength: number): GuardedSettings }> = {
  kl: { usual: 0.05, settings: (beta) => ({ kl: { beta, controller: 'fixed' } }) },
  target: { usual: 6, settings: (target) => ({ kl: { beta: 0.1, controller: 'barrier', target } }) },
  length: { usual: 1, settings: (length) => ({ guards: { length } }) },
  repetition: { usual: 2, settings: (repetition) => ({ guards: { repetition } }) },
  sameness: { usual: 2, settings: (sameness) => ({ guards: { sameness } }) },
  pessimism: { usual: 1, settings: (pessimism) => ({ rewardCall: { pessimism } }) },
};

/** A guard, or several together: options of PPO. */
interface Guard {
  /** As written, such as "kl:0.05". */
  name: string;
  settings: GuardedSettings;
}

/**
 * Parses "kl:0.05,target,repetition:2+sameness:1": guards separated by commas, each of one or several kinds with an
 * optional strength. Undefined when one of them is invalid.
 */
export function readGuards(text: string): Guard[] | undefined {
  const names = text.split(',').map((name) => name.trim());
  const guards: Guard[] = [];
  for (const name of names.filter(Boolean)) {
    let settings: GuardedSettings = {};
    for (const part of name.split('+')) {
      const [kind, strength] = part.trim().split(':');
      const guard = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
      const value = strength === undefined ? guard?.usual : Number(strength || Number.NaN);
      if (!guard || !(value! >= 0)) return undefined;
      const more = guard.settings(value!);
      const both = settings.guards && more.guards && { guards: { ...settings.guards, ...more.guards } };
      settings = { ...settings, ...more, ...both };
    }
    guards.push({ name, settings });
  }
  return guards;
}

/** Schema of a list of guards, such as "kl:0.05,target". */
const guardListSchema = z.string().refine((text) => readGuards(text) !== undefined, {
  error: `expected ${Object.keys(kinds).join(', ')}, each with a number of at least 0, as in kl:0.05,repetition:2+sameness:1`,
});

const drawing = bestOfNSchema.shape;

/** Schema of the options of `heed overoptimization`: types, ranges, defaults and help texts. */
export const overoptimizationSchema = languagePpoSchema.omit({ kl: true, keepBest: true, ...asksNobody }).extend({
  reward: z.string().describe('the proxy, which is optimized: a reward as in heed ppo'),
  gold: z.string().default('reviews').describe('the gold reward, which only measures: a reward as in heed ppo'),
  steps: languagePpoSchema.shape.steps.unwrap().default(40).describe('steps of each PPO run'),
  maxKl: languagePpoSchema.shape.maxKl
    .unwrap()
    .default(0)
    .describe('KL, in nats per completion, at which training stops; 0: no limit'),
  evaluations: languagePpoSchema.shape.evaluations
    .unwrap()
    .default(20)
    .describe('evaluations per PPO run, evenly spaced'),
  guards: guardListSchema
    .default('kl,target,repetition')
    .describe('guards of PPO, a curve each: kl, target, length, repetition, sameness, pessimism; see below'),
  bestOf: z
    .object({
      completions: drawing.completions.unwrap().default(64).describe('completions per prompt: the largest n'),
      prompts: wholeNumber(1).default(48).describe('number of prompts, drawn by the seed'),
      batch: drawing.batch,
    })
    .prefault({}),
});
/** The options of `createOveroptimization`, with their defaults. */
export type OveroptimizationOptions = z.output<typeof overoptimizationSchema>;
/** The input of `createOveroptimization`. */
export type OveroptimizationInput = z.input<typeof overoptimizationSchema>;

/** A way for a policy to move away from the initial one: a run in a folder inside this run's. */
export type Way = { name: string; folder: string; steps: number } & (
  | { method: 'best-of-n'; settings: BestOfNInput }
  | { method: 'rl'; settings: PpoInput }
);

/** Best of n and PPO without guards, and each with every guard that applies to it. */
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
      name: name || 'PPO',
      folder: folder('ppo', name),
      steps: training.steps,
      method: 'rl',
      settings: { ...free, ...settings, rewardCall },
    };
  });
  return [...best, ...learned];
}

/** What `trainOveroptimization` runs. */
export interface Observatory {
  options: OveroptimizationOptions;
  name: string;
  ways: readonly Way[];
  /** Steps of all ways together. */
  steps: number;
  open: {
    'best-of-n': (settings: BestOfNInput) => Promise<BestOfN>;
    rl: (settings: PpoInput) => Promise<PpoLearner>;
  };
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** Opens what `trainOveroptimization` runs. @throws HeedError when options, model, rewards or prompts are wrong. */
export const createOveroptimization: Opener<OveroptimizationInput & Surroundings, Observatory> = openerOf(
  overoptimizationSchema,
  create,
);

async function create(options: OveroptimizationOptions, { pull, onNotice }: Live): Promise<Observatory> {
  const open: Observatory['open'] = {
    'best-of-n': (settings) => createBestOfN({ ...optionsOf(bestOfNSchema, settings), pull, onNotice }),
    rl: (settings) => createLanguagePpo({ ...optionsOf(languagePpoSchema, settings), pull, onNotice }),
  };
  const ways = waysOf(options);
  if (ways.some(({ name }) => name.includes('pessimism')) && !hasEnsemble(options.reward)) {
    throw new HeedError(`The guard "pessimism" needs an ensemble, but "${options.reward}" is not one.`, {
      hint: 'Train one with heed reward --members 3, or list several folders separated by commas; or remove the guard.',
    });
  }
  const [first] = ways;
  // report problems with the model, rewards or prompts before computing anything
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
