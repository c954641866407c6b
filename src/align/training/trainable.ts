/** The trained part of a model: all its weights, or low-rank adapters over frozen weights (Hu et al. 2021). */

import { z } from 'zod';
import type { Value } from '../../engine/value.ts';
import { HeedError } from '../../error.ts';
import type { SaveOptions } from '../../lm/checkpoint.ts';
import { type LoraAdapter, saveAdapter } from '../../lm/lora.ts';
import { type Model, saveModel } from '../../lm/model.ts';
import { type Linear, weightedLinear } from '../../nn/decoder.ts';
import { createLora, frozenBeside, type LoraOptions, loraLinear, mergeLora } from '../../nn/lora.ts';
import { type Arena, createArena } from '../../nn/parameters.ts';
import { join } from '../../node.ts';
import { optionalText, positive, wholeNumber } from '../../options.ts';
import { random } from '../../random.ts';

/** Schema of the options of LoRA adapters. */
export const loraSchema = z.object({
  rank: wholeNumber(0).default(0).describe('rank of LoRA adapters over frozen weights; 0: train all weights'),
  alpha: positive().optional().describe('scale of the adapters, times 1 / rank (default: 2 × rank)'),
  targets: optionalText('linear layers with adapters, such as q_proj,v_proj (default: all)'),
  rankStabilized: z
    .boolean()
    .default(false)
    .describe('scale the adapters by alpha / √rank (rsLoRA)')
    .meta({ inFileOnly: true }),
  layers: optionalText('layers with adapters, from 0, such as 0,1,5 (default: all)').meta({ inFileOnly: true }),
  ranks: optionalText('other ranks of some linear layers, such as q_proj=4,down_proj=32').meta({ inFileOnly: true }),
  alphas: optionalText('other alphas of some linear layers, such as q_proj=8').meta({ inFileOnly: true }),
  dora: z.boolean().default(false).describe('also learn the size of each row of the adapted weights (DoRA)'),
  whole: optionalText(
    'modules that are trained whole beside the adapters, such as lm_head,embed_tokens (modules_to_save)',
  ).meta({ inFileOnly: true }),
});
/** Options of LoRA adapters. */
export type LoraSettings = z.input<typeof loraSchema>;

/** The adapters that options ask for; undefined for rank 0. */
export function loraOptions({
  rank = 0,
  alpha = 2 * rank,
  targets,
  rankStabilized,
  layers,
  ranks,
  alphas,
  dora,
  whole,
}: LoraSettings): LoraOptions | undefined {
  if (rank === 0) return undefined;
  return {
    rank,
    alpha,
    rankStabilized,
    targets: listOf(targets),
    ...(layers !== undefined && { layers: listOf(layers)!.map((layer) => layerNumber('layers', layer)) }),
    ...(ranks !== undefined && { rankPattern: numbersOf('ranks', ranks) }),
    ...(alphas !== undefined && { alphaPattern: numbersOf('alphas', alphas) }),
    ...(dora && { dora }),
    ...(whole !== undefined && { whole: listOf(whole) }),
  };
}

const listOf = (text: string | undefined) => text?.split(',').map((part) => part.trim());

function layerNumber(option: string, text: string): number {
  const number = Number(text);
  if (text !== '' && Number.isInteger(number) && number >= 0) return number;
  throw new HeedError(`lora.${option} names layer "${text}"`, { hint: 'name layers from 0, such as 0,1,5' });
}

/** "q_proj=4,down_proj=32" as numbers by name. */
function numbersOf(option: string, text: string): Record<string, number> {
  return Object.fromEntries(
    listOf(text)!.map((part) => {
      const [, name, number] = /^([^=]+)=(\d*\.?\d+)$/.exec(part) ?? [];
      if (name !== undefined && Number(number) > 0) return [name, Number(number)];
      throw new HeedError(`lora.${option} has "${part}"`, {
        hint: 'expected NAME=NUMBER, such as q_proj=4,down_proj=32',
      });
    }),
  );
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
  /** The adapters' options; undefined without adapters. */
  readonly adapters: LoraOptions | undefined;
  /** The linear layers with adapters; undefined without adapters. */
  readonly linear: Linear | undefined;
  /**
   * Writes a whole model, with adapters merged into a copy of the weights; and the adapters, in `adapter` beside the
   * folder.
   */
  save(folder: string, options?: SaveOptions): void;
  /** A copy of the adapters, which the caller disposes of. Absent without adapters. */
  adapter?(): LoraAdapter;
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
      adapters: undefined,
      linear: undefined,
      save: (folder, options) => saveModel(folder, model, options),
      merge() {},
      [Symbol.dispose]() {},
    };
  }
  const adapters = createLora(config, options, parameters.values, random(seed, 'adapters'));
  return {
    parameters: adapters,
    weights: { ...parameters.values, ...adapters.values },
    frozen: frozenBeside(adapters, parameters.values),
    adapters: options,
    linear: loraLinear(config, options, weightedLinear(config)),
    save(folder, saving) {
      const merged = copyOf(parameters);
      mergeLora(merged, adapters, options);
      saveModel(folder, { ...model, parameters: merged }, saving);
      merged[Symbol.dispose]();
      saveAdapter(adapterBeside(folder), { config, architecture, options, parameters: adapters, base });
    },
    adapter: () => ({ config, architecture, options, parameters: copyOf(adapters), base }),
    merge: () => mergeLora(parameters, adapters, options),
    [Symbol.dispose]: adapters[Symbol.dispose],
  };
}
