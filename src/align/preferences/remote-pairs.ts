/** Optimizer steps on pairs of completions for a policy at a service. */
import type { Tensors } from '../policies/algorithm.ts';
import type { RemotePolicy } from '../policies/remote-policy.ts';
import { createTokenLoss } from '../policies/token-loss.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { type PreferenceLoss, readsOf } from './loss.ts';
import { type PreferenceValues, packedLoss, preferenceNumbers } from './trainer.ts';

/** Takes optimizer steps on pairs. Holds native memory: dispose of it. */
export interface PairTrainer extends Disposable {
  /**
   * One optimizer step. Returns the loss before it, and the norm of the gradients.
   *
   * @param completions The chosen completions, then the rejected ones; their number is a multiple of the pairs of a part.
   * @param reference Σ log π_ref of each of them.
   */
  step(completions: readonly Completion[], reference: Float32Array, rate: number): PairStep | Promise<PairStep>;
  /** The optimizer's state for a checkpoint; none if it is at a service. */
  save(): Tensors;
  /** Restores the optimizer's state. */
  restore(tensors: Tensors): void;
}

/** The result of an optimizer step. */
export type PairStep = PreferenceValues & {
  /** Norm of the gradients before clipping; NaN if a service does not say. */
  norm: number;
};

const SIDES = 2;

/**
 * A trainer of a loss of pairs.
 *
 * @param part Pairs whose loss is computed at once.
 * @throws HeedError if the loss reads more of the model than log-probabilities.
 */
export function createRemotePairTrainer(policy: RemotePolicy, loss: PreferenceLoss, part: number): PairTrainer {
  const reads = readsOf(loss);
  const tokenLoss = createTokenLoss(packedLoss(policy.model, loss, part), SIDES * part);
  return {
    async step(completions, reference, rate) {
      const count = completions.length / SIDES;
      const logProbs = await policy.logProbs(completions);
      const weights: Float32Array[] = new Array(completions.length);
      const values = {
        loss: 0,
        rewards: new Float32Array(completions.length),
        logP: new Float32Array(completions.length),
      };
      const likely = completions.slice(0, count).reduce((sum, { response }) => sum + response.length, 0);
      for (let start = 0; start < count; start += part) {
        const places = Array.from(
          { length: SIDES * part },
          (_, k) => Math.floor(k / part) * count + start + (k % part),
        );
        const lengths = places.map((i) => completions[i].response.length);
        const context = {
          reference: Float32Array.from(places, (i) => reference[i]),
          kl: 0,
          seen: { sum: 0, count: 0 },
        };
        const numbers = preferenceNumbers({ sides: [] }, [], Float32Array.from(lengths), count / likely, context);
        const read = Object.entries(numbers).filter(([name]) => reads.has(name));
        const inputs = {
          lengths,
          perLabel: { weight: lengths.map((length) => new Float32Array(length).fill(1)) },
          perSequence: {
            ...Object.fromEntries(read.map(([name, of]) => [name, Array.from(of)])),
            share: new Array<number>(part).fill(1 / count),
          },
        };
        const before = places.map((i) => logProbs[i]);
        const slopes = tokenLoss.weights(inputs, before);
        const outputs = tokenLoss.values(inputs, before);
        values.loss += Number(outputs.loss[0]);
        for (const [k, i] of places.entries()) {
          weights[i] = slopes[k];
          values.rewards[i] = Number(outputs.rewards[k]);
          values.logP[i] = Number(outputs.logP[k]);
        }
      }
      const [, norm] = await Promise.all([
        policy.forwardBackward(completions, { kind: 'likelihood', weights }),
        policy.step(rate),
      ]);
      return { ...values, norm };
    },
    save: () => ({}),
    restore() {},
    [Symbol.dispose]: tokenLoss[Symbol.dispose],
  };
}
