/** The trained part of a model: all its weights, or low-rank adapters over frozen weights (Hu et al. 2021). */

import { z } from 'zod';
import type { Value } from '../../engine/value.ts';
import type { SaveOptions } from '../../lm/checkpoint.ts';
import { saveAdapter } from '../../lm/lora.ts';
import { type Model, saveModel } from '../../lm/model.ts';
import { type Linear, weightedLinear } from '../../nn/decoder.ts';
import { type LoraOptions, loraLinear, loraParameters, mergeLora } from '../../nn/lora.ts';
import { type Arena, createArena, createParameters } from '../../nn/parameters.ts';
import { join } from '../../node.ts';
import { random } from '../../random.ts';

/** Schema of the options of LoRA adapters. */
export const loraSchema = z.object({
  rank: z.number().int().min(0).default(0).describe('rank of LoRA adapters over frozen weights; 0: train all weights'),
  alpha: z.number().positive().optional().describe('scale of the adapters, times 1 / rank (default: 2 × rank)'),
  targets: z.string().optional().describe('linear layers with adapters, such as q_proj,v_proj (default: all)'),
  rankStabilized: z.boolean().default(false).describe('scale the adapters by alpha / √rank (rsLoRA)'),
});
/** Options of LoRA adapters. */
export type LoraSettings = z.input<typeof loraSchema>;

/** The adapters that options ask for; undefined for rank 0. */
export function loraOptions({
  rank = 0,
  alpha = 2 * rank,
  targets,
  rankStabilized,
}: LoraSettings): LoraOptions | undefined {
  if (rank === 0) return undefined;
  return { rank, alpha, rankStabilized, targets: targets?.split(',').map((name) => name.trim()) };
}

/** A copy of parameters. */
export function copyOf(arena: Arena): Arena {
  const copy = createArena(arena.specs);
  copy.flat.set(arena.flat);
  return copy;
}

/** The folder for adapters, beside that of the merged model. */
export const adapterBeside = (folder: string): string => join(folder, '..', 'adapter');

/** The trained part of a model, and how to save it. */
export interface Trained {
  /** The trained parameters. */
  readonly parameters: Arena;
  /** All weights, including adapters, by the names of programs' inputs. */
  readonly weights: Readonly<Record<string, Value>>;
  /** The weights that are not trained. */
  readonly frozen: Readonly<Record<string, Value>>;
  /** The linear layers with adapters; undefined without adapters. */
  readonly linear: Linear | undefined;
  /**
   * Writes a whole model, with adapters merged into a copy of the weights; and the adapters, in `adapter` beside the
   * folder.
   */
  save(folder: string, options?: SaveOptions): void;
  /** Merges adapters into the model's own weights. Does nothing without adapters. */
  merge(): void;
  /** Frees the adapters; the model stays. */
  [Symbol.dispose](): void;
}

/** Makes the trained part of a model: adapters, or all weights for rank 0. @throws HeedError for an unknown target. */
export function trainedPart(model: Model, lora: LoraSettings, seed: number): Trained {
  const { config, parameters, architecture, folder: base } = model;
  const options = loraOptions(lora);
  if (!options) {
    return {
      parameters,
      weights: parameters.values,
      frozen: {},
      linear: undefined,
      save: (folder, options) => saveModel(folder, model, options),
      merge() {},
      [Symbol.dispose]() {},
    };
  }
  const adapters = createParameters(loraParameters(config, options), random(seed, 'adapters'));
  return {
    parameters: adapters,
    weights: { ...parameters.values, ...adapters.values },
    frozen: parameters.values,
    linear: loraLinear(config, options, weightedLinear(config)),
    save(folder, saving) {
      const merged = copyOf(parameters);
      mergeLora(merged, adapters, options);
      saveModel(folder, { ...model, parameters: merged }, saving);
      merged[Symbol.dispose]();
      // Transformers fuses GPT-2's q, k and v, so that PEFT has no such adapters for it
      if (config.positions.kind === 'rotary') {
        saveAdapter(adapterBeside(folder), config, { options, parameters: adapters, base }, architecture);
      }
    },
    merge: () => mergeLora(parameters, adapters, options),
    [Symbol.dispose]: adapters[Symbol.dispose],
  };
}
