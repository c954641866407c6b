/** A language model in training as a policy, and the frozen reference that its KL is measured from. */
import type { Value } from '../../engine/index.ts';
import { HeedError } from '../../error.ts';
import type { Model } from '../../lm/model.ts';
import type { DecoderConfig } from '../../nn/index.ts';
import { sizeOf } from './steps.ts';
import { copyOf, type LoraSettings, loraOptions, type Trained, trainedPart } from './trainable.ts';

/** Weights as programs read them, by the names of their inputs. */
export type Weights = Readonly<Record<string, Value>>;

export interface Policy extends Trained {
  readonly model: Model;
  /** With adapters, the weights beside them; else another model's, or a copy. */
  readonly reference: { readonly config: DecoderConfig; readonly weights: Weights };
}

export interface PolicyOptions {
  lora: LoraSettings;
  /** What the KL is measured from, in place of the model as it stands. It stays the caller's. */
  reference?: Model;
  seed: number;
}

/** A policy of a model, which stays the caller's. @throws HeedError where the reference does not know the same tokens. */
export function createPolicy(model: Model, { lora, reference, seed }: PolicyOptions): Policy {
  const { config } = model;
  const hint = 'Their log-probabilities cannot be compared: take the model that the policy was trained from.';
  if (reference) checkSameTokens(model, reference, 'The reference', hint);
  const trained = trainedPart(model, lora, seed);
  // with adapters, the weights beside them stay as they were
  const copy = reference || loraOptions(lora) ? undefined : copyOf(model.parameters);
  return {
    ...trained,
    model,
    reference: {
      config: reference?.config ?? config,
      weights: (reference?.parameters ?? copy ?? model.parameters).values,
    },
    [Symbol.dispose]() {
      trained[Symbol.dispose]();
      copy?.[Symbol.dispose]();
    },
  };
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

/**
 * 0.2/√parameters of the model: 2e-4 for the embedded one, 6e-6 for a billion parameters. Adapters begin at 0 and
 * take ten times that.
 */
export function usualRate({ model, parameters }: Policy): number {
  return (parameters === model.parameters ? 0.2 : 2) / Math.sqrt(sizeOf(model.parameters));
}
