/** Optimizer steps of a policy at a service: its gradients come from the loss that is computed here. */
import type { PackedLoss } from '../../lm/packed-program.ts';
import type { CompletionTrainer } from './completion-step.ts';
import type { RemoteLoss, RemotePolicy } from './remote-policy.ts';
import { createTokenLoss, type TokenLossInputs } from './token-loss.ts';

/** What the service computes for some numbers; the loss that it stands for must have the same gradient. */
export type NamedLoss = (inputs: TokenLossInputs) => RemoteLoss;

/**
 * A trainer for a policy at a service.
 *
 * @param most The most completions of a step.
 * @param named The service's own loss in place of `loss`, which then only gives metrics: one pass in place of two.
 * @throws HeedError if the loss reads more of the model than log-probabilities.
 */
export function createRemoteTrainer(
  policy: RemotePolicy,
  loss: PackedLoss,
  most: number,
  named?: NamedLoss,
): CompletionTrainer {
  const tokens = createTokenLoss(loss, most);
  return {
    async step(completions, numbers, rate) {
      const inputs = { ...numbers, lengths: completions.map(({ response }) => response.length) };
      const before = named || tokens.linear ? undefined : await policy.logProbs(completions);
      const remote = named?.(inputs) ?? { kind: 'likelihood' as const, weights: tokens.weights(inputs, before) };
      // both are sent at once: the service keeps their order
      const [passed, norm] = await Promise.all([policy.forwardBackward(completions, remote), policy.step(rate)]);
      const outputs = Object.entries(tokens.values(inputs, before ?? passed));
      return { sums: Object.fromEntries(outputs.map(([name, data]) => [name, Number(data[0])])), norm };
    },
    // the optimizer's state is in the service's checkpoints
    save: () => ({}),
    restore() {},
    [Symbol.dispose]: tokens[Symbol.dispose],
  };
}
