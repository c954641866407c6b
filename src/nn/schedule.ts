/** Learning-rate schedules, as Transformers defines them: a factor of the peak rate by optimizer step. */
import { HeedError } from '../error.ts';

export const scheduleNames = [
  'constant',
  'constant_with_warmup',
  'linear',
  'cosine',
  'cosine_with_restarts',
  'cosine_with_min_lr',
  'polynomial',
  'inverse_sqrt',
  'warmup_stable_decay',
] as const;
export type ScheduleName = (typeof scheduleNames)[number];

export interface ScheduleOptions {
  /** The highest learning rate. */
  rate: number;
  /** Optimizer steps of linear rise from 0. */
  warmup?: number;
  /** Optimizer steps in all. */
  total: number;
  /** cosine_with_min_lr: the end, as a share of the peak. */
  minimum?: number;
  /** warmup_stable_decay: steps of the cosine descent at the end. */
  decaySteps?: number;
}

const halfCosine = (progress: number) => 0.5 * (1 + Math.cos(Math.PI * progress));

/** The learning rate at an optimizer step, counted from 0. */
export function learningRate(name: ScheduleName, step: number, options: ScheduleOptions): number {
  const { rate, warmup = 0, total, minimum = 0, decaySteps = 0 } = options;
  if (!scheduleNames.includes(name)) {
    throw new HeedError(`"${name}" is no schedule`, { hint: `choose one of ${scheduleNames.join(', ')}` });
  }
  if (name === 'constant') return rate;
  if (step < warmup) return (rate * step) / Math.max(1, warmup);
  const progress = (step - warmup) / Math.max(1, total - warmup);
  switch (name) {
    case 'constant_with_warmup':
      return rate;
    case 'linear':
      return rate * Math.max(0, 1 - progress);
    case 'cosine':
      return rate * Math.max(0, halfCosine(progress));
    case 'cosine_with_restarts':
      return progress >= 1 ? 0 : rate * halfCosine(progress % 1);
    case 'cosine_with_min_lr':
      return rate * Math.max(0, halfCosine(progress) * (1 - minimum) + minimum);
    case 'polynomial': {
      const end = 1e-7; // Transformers' lr_end, with its default power of 1
      return step > total ? end : (rate - end) * (1 - progress) + end;
    }
    case 'inverse_sqrt': {
      const scale = warmup || 10_000;
      return rate / Math.sqrt((step - warmup + scale) / scale);
    }
    case 'warmup_stable_decay': {
      const start = total - decaySteps;
      if (step < start) return rate;
      return step >= total ? 0 : rate * halfCosine((step - start) / decaySteps);
    }
  }
}
