/** The interface of algorithms that learn from rollouts. */
import type { SafetensorsTensor } from '../../engine/safetensors.ts';
import type { LanguageRollout } from './rollouts.ts';

/** Tensors of a checkpoint, by name. */
export type Tensors = Record<string, SafetensorsTensor>;

/**
 * An algorithm that trains a policy on rollouts. It holds the optimizers and any other state. A policy at a service makes
 * `update` a promise.
 */
export interface PolicyAlgorithm {
  /** One step of training at a learning rate; `step` counts from 0. Returns metrics by name. */
  update(
    rollout: LanguageRollout,
    rate: number,
    step: number,
  ): Record<string, number> | Promise<Record<string, number>>;
  /** The state for a checkpoint, without the policy's own parameters. */
  save(): { state: unknown; tensors: Tensors };
  /** Restores the state of a checkpoint. */
  restore(checkpoint: { state: unknown; tensors: Tensors }): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}
