/** What of a model is trained: all of its weights, or low-rank adapters beside them (Hu et al. 2021), which stay as they are. */
import { join } from 'node:path';
import { z } from 'zod';
import type { Value } from '../../engine/index.ts';
import type { SaveOptions } from '../../lm/checkpoint.ts';
import { saveAdapter } from '../../lm/lora.ts';
import { type Model, saveModel } from '../../lm/model.ts';
import {
  type Arena,
  createArena,
  createParameters,
  type Linear,
  type LoraOptions,
  loraLinear,
  loraParameters,
  mergeLora,
  weightedLinear,
} from '../../nn/index.ts';
import { random } from '../../random.ts';

export const loraSchema = z.object({
  rank: z.number().int().min(0).default(0).describe('train adapters of this rank beside frozen weights; 0 trains all'),
  alpha: z.number().positive().optional().describe('adapters are scaled by alpha / rank (default: 2 × rank)'),
  targets: z.string().optional().describe('linear layers with adapters, such as q_proj,v_proj (default: all of them)'),
  rankStabilized: z.boolean().default(false).describe('scale by alpha / √rank (rsLoRA)'),
});
export type LoraSettings = z.input<typeof loraSchema>;

/** The adapters that settings ask for, if any. */
export function loraOptions({
  rank = 0,
  alpha = 2 * rank,
  targets,
  rankStabilized,
}: LoraSettings): LoraOptions | undefined {
  if (rank === 0) return undefined;
  return { rank, alpha, rankStabilized, targets: targets?.split(',').map((name) => name.trim()) };
}

export function copyOf(arena: Arena): Arena {
  const copy = createArena(arena.specs);
  copy.flat.set(arena.flat);
  return copy;
}

/** Where the adapters of a model go that is saved in a folder with them merged. */
export const adapterBeside = (folder: string): string => join(folder, '..', 'adapter');

/** What of a model is trained, and how it is written. */
export interface Trained {
  /** What is trained. */
  readonly parameters: Arena;
  /** Every weight, adapters among them, by the names of programs' inputs. */
  readonly weights: Readonly<Record<string, Value>>;
  /** Those that are not trained. */
  readonly frozen: Readonly<Record<string, Value>>;
  /** How linear layers map, where not by their weights alone. */
  readonly linear: Linear | undefined;
  /** Writes a whole model, adapters merged into a copy of the weights; these also by themselves, in `adapter` beside the folder. */
  save(folder: string, options?: SaveOptions): void;
  /** Merges adapters into the model's own weights. Where all weights are trained, they are there already. */
  merge(): void;
  /** Frees the adapters; the model stays. */
  [Symbol.dispose](): void;
}

/** @throws HeedError for a target that the model does not have. */
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
      // Transformers fuses GPT-2's q, k and v, so PEFT has no adapters like these for it
      if (config.positions.kind === 'rotary') {
        saveAdapter(adapterBeside(folder), config, { options, parameters: adapters, base }, architecture);
      }
    },
    merge: () => mergeLora(parameters, adapters, options),
    [Symbol.dispose]: adapters[Symbol.dispose],
  };
}
