/**
 * Log-probabilities of tokens under a policy and its reference, and the KL between the two distributions of each token.
 * The sum of the latter along a sampled completion estimates KL(π ‖ π_ref) of whole completions without bias, as the
 * completion's log π − log π_ref does, with less variance and never below 0: it is its Rao–Blackwellization (Amini,
 * Vieira and Cotterell 2025, "Better Estimation of the KL Divergence Between Language Models").
 */
import { input, type Tensor } from '../../engine/graph.ts';
import { exp, mul, sub } from '../../engine/ops/elementwise.ts';
import { gatherElements } from '../../engine/ops/gather.ts';
import { logSoftmax } from '../../engine/ops/normalize.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { reshape, slice, unsqueeze } from '../../engine/ops/shape.ts';
import { trace } from '../../engine/program.ts';
import { logitsOf } from '../../nn/decoder.ts';
import { headName } from '../../nn/decoder-config.ts';
import type { LanguagePolicy } from '../training/policy.ts';

/** Numbers of each token, in the order of the labels. */
export interface TokenNumbers {
  /** log π(token). */
  logP: Float32Array;
  /** log π_ref(token). */
  reference: Float32Array;
  /** KL(π ‖ π_ref) of the token's distribution, in nats. */
  kl: Float32Array;
}

interface TokenKl {
  /**
   * @param states States of the policy that predict the labels: [labels · hidden].
   * @param reference The same of the reference, whose width may differ.
   */
  run(labels: readonly number[], states: Float32Array, reference: Float32Array): Promise<TokenNumbers>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

const LOGITS_AT_ONCE = 1 << 22; // of each model: both stay in the last cache

/** A program that compares the heads of a policy and its reference, at a temperature. */
export function createTokenKl({ model, weights, linear, reference }: LanguagePolicy, temperature: number): TokenKl {
  const models = { policy: { config: model.config, weights }, reference };
  const { vocabularySize } = model.config;
  // a checkpoint may have room for more tokens than the tokenizer has
  const shared = Math.min(vocabularySize, reference.config.vocabularySize);
  const program = trace((graph) => {
    const [own, theirs] = Object.entries(models).map(([name, { config }]) => {
      const states = input(graph, `${name} states`, ['labels', config.hiddenSize]);
      const own = input(graph, `${name} head`, [config.vocabularySize, config.hiddenSize]);
      const head = name === 'policy' && linear?.head ? linear.head(own) : own;
      const logits = logitsOf(config, states, head);
      const logP = logSoftmax(temperature === 1 ? logits : mul(logits, 1 / temperature));
      return config.vocabularySize === shared ? logP : slice(logP, 1, 0, shared);
    });
    const labels = unsqueeze(input(graph, 'labels', ['labels'], 'int32'), 1);
    const of = (logP: Tensor) => reshape(gatherElements(logP, labels, 1), ['labels']);
    return { logP: of(own), reference: of(theirs), kl: sum(mul(exp(own), sub(own, theirs)), { axes: [1] }) };
  });
  const heads = Object.fromEntries(
    Object.entries(models).map(([name, { config, weights }]) => [`${name} head`, weights[headName(config)]]),
  );
  const adapters = Object.fromEntries(
    program.inputs.flatMap(({ name }) => (weights[name] ? [[name, weights[name]] as const] : [])),
  );
  const most = Math.max(1, Math.floor(LOGITS_AT_ONCE / vocabularySize));
  return {
    async run(labels, states, theirs) {
      const { length } = labels;
      const [logP, reference, kl] = [0, 1, 2].map(() => new Float32Array(length));
      const result: TokenNumbers = { logP, reference, kl };
      const part = (values: Float32Array, from: number, to: number) =>
        values.subarray((from * values.length) / length, (to * values.length) / length);
      for (let from = 0; from < length; from += most) {
        const to = Math.min(length, from + most);
        const some = await program.runFreely({
          ...heads,
          ...adapters,
          labels: labels.slice(from, to),
          'policy states': part(states, from, to),
          'reference states': part(theirs, from, to),
        });
        for (const name of ['logP', 'reference', 'kl'] as const) result[name].set(some[name] as Float32Array, from);
      }
      return result;
    },
    [Symbol.dispose]: program[Symbol.dispose],
  };
}
