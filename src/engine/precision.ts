/** The precision of matrix products: float32, or bfloat16 on CPUs that have it. */
import { HeedError } from '../error.ts';
import { device } from './device.ts';
import type { Precision } from './dtype.ts';
import { runtime } from './runtime/current.ts';

/** What a precision may be chosen as: `auto` is bf16 where it is faster. */
export const PRECISIONS = ['auto', 'fp32', 'bf16'] as const;
/** A precision, or `auto`. */
export type PrecisionChoice = (typeof PRECISIONS)[number];

/** The narrowest model that trains faster in bf16. */
const LEAST_WIDTH = 192;

/**
 * The precision for a model of this width (`hiddenSize`). `auto` is bf16 if the CPU has AVX-512 BF16 or AMX, oneDNN is
 * installed and the model is wide enough to gain by it.
 *
 * @throws HeedError for `bf16` where this machine lacks it, with what is missing.
 */
export function resolvePrecision(choice: PrecisionChoice, width: number): Precision {
  if (choice === 'fp32' || (choice === 'auto' && (width < LEAST_WIDTH || device() !== 'cpu'))) return 'fp32';
  if (device() !== 'cpu') {
    throw new HeedError(`precision bf16 runs only on the CPU, but the device is ${device()}`, {
      hint: 'Use --precision fp32, or --device cpu.',
    });
  }
  const support = runtime().bf16?.();
  if (support?.works) return 'bf16';
  if (choice === 'auto') return 'fp32';
  throw new HeedError(`precision bf16: ${support?.missing ?? 'a page has no bfloat16 products'}`, {
    hint: 'Or use --precision fp32; "heed doctor" shows what this machine has.',
  });
}
