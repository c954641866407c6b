/** What learns from rollouts, by whatever algorithm. */
import type { SafetensorsTensor } from '../../engine/safetensors.ts';
import type { LanguageRollout } from './rollouts.ts';

export type Tensors = Record<string, SafetensorsTensor>;

/** It holds the optimizers and whatever else it needs. */
export interface PolicyAlgorithm {
  /** One step's learning at a learning rate, `step` counted from 0. Gives metrics by their names. */
  update(rollout: LanguageRollout, rate: number, step: number): Record<string, number>;
  /** All but the policy's own parameters. */
  save(): { state: unknown; tensors: Tensors };
  restore(checkpoint: { state: unknown; tensors: Tensors }): void;
  [Symbol.dispose](): void;
}
