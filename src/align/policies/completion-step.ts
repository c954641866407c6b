/** Optimizer steps on completions: what they take and return, wherever the policy's model is. */
import type { Completion } from '../reward-functions/reward-function.ts';
import type { Tensors } from './algorithm.ts';

/** The inputs of a loss, by name. */
export interface CompletionNumbers {
  /** A number for each token of each completion: [completions][tokens]. */
  perLabel?: Readonly<Record<string, readonly Float32Array[]>>;
  /** A number for each completion: [completions]. */
  perSequence?: Readonly<Record<string, readonly number[]>>;
}

/** The result of an optimizer step. */
export interface CompletionStep {
  /** The scalar outputs of the loss by name, summed over the completions. */
  sums: Record<string, number>;
  /** Norm of the gradients before clipping; NaN if a service does not say. */
  norm: number;
}

/** Takes optimizer steps on completions. */
export interface CompletionTrainer {
  /**
   * One optimizer step on completions, in as many parts as memory requires. Returns the outputs of the loss, summed
   * over the parts, and the norm of the gradients before clipping; a promise of them for a policy at a service.
   */
  step(
    completions: readonly Completion[],
    numbers: CompletionNumbers,
    rate: number,
  ): CompletionStep | Promise<CompletionStep>;
  /** The optimizer's state for a checkpoint. */
  save(): Tensors;
  /** Restores the optimizer's state. */
  restore(tensors: Tensors): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}
