/** A language model in training as a policy, and the frozen reference that its KL is measured from. */
import { z } from 'zod';
import type { Value } from '../../engine/index.ts';
import { HeedError } from '../../error.ts';
import type { SaveOptions } from '../../lm/checkpoint.ts';
import { type Model, saveModel } from '../../lm/model.ts';
import {
  type Arena,
  createArena,
  createParameters,
  type DecoderConfig,
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
});

/** Weights as programs read them, by the names of their inputs. */
export type Weights = Readonly<Record<string, Value>>;

export interface Policy {
  readonly model: Model;
  /** What is trained: all weights, or adapters beside them. */
  readonly parameters: Arena;
  /** Every weight, adapters among them. */
  readonly weights: Weights;
  /** Those that are not trained. */
  readonly frozen: Weights;
  /** How its linear layers map, where not by their weights alone. */
  readonly linear: Linear | undefined;
  /** With adapters, the weights beside them; else another model's, or a copy. */
  readonly reference: { readonly config: DecoderConfig; readonly weights: Weights };
  /** Writes it as a whole model: adapters are merged into a copy of the weights. */
  save(folder: string, options?: SaveOptions): void;
  /** Releases model and reference too. */
  release(): void;
}

export interface PolicyOptions {
  lora: z.output<typeof loraSchema>;
  /** In place of the model as it stands; released with the policy. */
  reference?: Model;
  seed: number;
}

/** @throws HeedError where the reference does not know the same tokens. */
export function createPolicy(model: Model, { lora, reference, seed }: PolicyOptions): Policy {
  const { config } = model;
  const hint = 'Their log-probabilities cannot be compared: take the model that the policy was trained from.';
  if (reference) checkSameTokens(model, reference, 'The reference', hint);
  if (lora.rank === 0) {
    const copy = reference?.parameters ?? copyOf(model.parameters);
    return {
      model,
      parameters: model.parameters,
      weights: model.parameters.values,
      frozen: {},
      linear: undefined,
      reference: { config: reference?.config ?? config, weights: copy.values },
      save: (folder, options) => saveModel(folder, model, options),
      release: () => {
        for (const arena of [model.parameters, copy]) arena.release();
      },
    };
  }
  const options: LoraOptions = { rank: lora.rank, alpha: lora.alpha ?? 2 * lora.rank };
  const adapters = createParameters(loraParameters(config, options), random(seed, 'adapters'));
  return {
    model,
    parameters: adapters,
    weights: { ...model.parameters.values, ...adapters.values },
    frozen: model.parameters.values,
    linear: loraLinear(config, options, weightedLinear(config)),
    reference: {
      config: reference?.config ?? config,
      weights: (reference?.parameters ?? model.parameters).values,
    },
    save(folder, saving) {
      const merged = copyOf(model.parameters);
      mergeLora(merged, adapters, options);
      saveModel(folder, { ...model, parameters: merged }, saving);
      merged.release();
    },
    release: () => {
      for (const arena of [adapters, model.parameters, reference?.parameters]) arena?.release();
    },
  };
}

export function copyOf(arena: Arena): Arena {
  const copy = createArena(arena.specs);
  copy.flat.set(arena.flat);
  return copy;
}

/** The first token that two models do not share, if any. */
export function firstOtherToken({ tokenizer }: Model, { tokenizer: other }: Model): number | undefined {
  const size = Math.max(tokenizer.vocabularySize, other.vocabularySize);
  for (let id = 0; id < size; id++) if (tokenizer.tokenOf(id) !== other.tokenOf(id)) return id;
  return undefined;
}

/** Throws a HeedError where two models read different tokens. `what` is the other one, `hint` what to do. */
export function checkSameTokens(policy: Model, other: Model, what: string, hint: string): void {
  const id = firstOtherToken(policy, other);
  if (id === undefined) return;
  const named = ({ tokenizer }: Model) => (tokenizer.tokenOf(id) === undefined ? 'none' : `"${tokenizer.tokenOf(id)}"`);
  throw new HeedError(
    `${what} has another vocabulary than the policy: token ${id} is ${named(other)}, expected ${named(policy)}.`,
    { hint },
  );
}
