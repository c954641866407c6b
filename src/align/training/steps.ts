/** What the optimizer steps of all trainings here share: their optimizer, learning rate, items and evaluations. */
import { epochOrder } from '../../data/index.ts';
import { type Arena, createOptimizer, learningRate, type Optimizer } from '../../nn/index.ts';
import type { LanguageTrainingOptions } from './options.ts';

type Settings = Pick<
  LanguageTrainingOptions,
  'schedule' | 'minimumRate' | 'warmup' | 'weightDecay' | 'beta2' | 'maxGradientNorm' | 'evaluations'
>;

/** AdamW as settings have it: matrices decay, vectors do not. */
export const adamw = (
  parameters: Arena,
  gradients: Arena,
  { beta2, epsilon, weightDecay, maxGradientNorm }: Settings & { epsilon?: number },
): Optimizer =>
  createOptimizer(parameters, gradients, {
    kind: 'adamw',
    betas: [0.9, beta2],
    epsilon,
    weightDecay,
    decay: ({ shape }) => shape.length > 1,
    maxGradientNorm,
  });

/** The learning rate of each of so many steps, counted from 0. `rate` is the highest. */
export function rates(rate: number, steps: number, settings: Settings): (step: number) => number {
  const { schedule, warmup, minimumRate: minimum } = settings;
  const shape = { rate, warmup: Math.floor(warmup * steps), total: steps, minimum };
  return (step) => learningRate(schedule, step, shape);
}

/** How many numbers are trained, or a model has. */
export const sizeOf = ({ specs }: Pick<Arena, 'specs'>): number =>
  specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

/** Whether an evaluation follows a step, counted from 1: evenly spaced, and after the last. */
export function evaluationIsDue(step: number, steps: number, { evaluations }: Pick<Settings, 'evaluations'>): boolean {
  const share = evaluations / steps;
  return step >= steps || Math.floor(step * share) > Math.floor((step - 1) * share);
}

/** Which of n items a step of `batch` takes, counted from 0: every one once before any comes again, in an order drawn anew. */
export function itemsOfStep(step: number, batch: number, n: number, seed: number): number[] {
  let known: { epoch: number; order: Uint32Array } | undefined;
  return Array.from({ length: batch }, (_, i) => {
    const place = step * batch + i;
    const epoch = Math.floor(place / n);
    if (known?.epoch !== epoch) known = { epoch, order: epochOrder(n, seed, epoch) };
    return known.order[place % n];
  });
}
