import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  constant,
  gatherElements,
  gradients,
  input,
  logSoftmax,
  logSumExp,
  mean,
  mul,
  reshape,
  sub,
  sum,
  type Tensor,
  trace,
} from '../../engine/index.ts';
import { type DpoLoss, type DpoLossOptions, dpoLoss } from './dpo-loss.ts';
import type { Completions, PreferenceLoss } from './loss.ts';

interface Case {
  loss_type: DpoLoss | DpoLoss[];
  options: Record<string, number | string | boolean | number[]>;
  loss: number;
  grad_logits_norm: number;
  grad_logits_norm_per_row: number[];
  metrics: Record<string, number>;
}
const fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/losses/dpo.json', import.meta.url).pathname, 'utf8'),
);
const { pairs: P, T, V } = fixture.shape as Record<string, number>;
const completions = 2 * P;
const masks = fixture.completion_mask.map((row: number[]) => row.slice(1)) as number[][];
const lengths = masks.map((row) => row.reduce((a, b) => a + b));

const plain: DpoLossOptions = {
  losses: ['sigmoid'],
  beta: 0.1,
  labelSmoothing: 0,
  divergence: 'reverse_kl',
  alpha: 0.5,
  temperature: 0.05,
  weighting: false,
};

const optionsOf = ({ loss_type, options }: Case): DpoLossOptions => ({
  ...plain,
  losses: [loss_type].flat(),
  weights: options.loss_weights as number[] | undefined,
  beta: options.beta as number,
  labelSmoothing: (options.label_smoothing as number) ?? 0,
  divergence: (options.f_divergence_type as DpoLossOptions['divergence']) ?? 'reverse_kl',
  weighting: options.use_weighting === true,
});

/** Weights of a completion's tokens: those beyond the other completion's length have `share`. */
const tokenWeights = (share: number) =>
  masks.map((row, i) => {
    const shared = Math.min(lengths[i], lengths[(i + P) % completions]);
    let seen = 0;
    return row.map((real) => (real === 0 ? 0 : ++seen <= shared ? 1 : share));
  });

/** The loss of the fixture's logits, its gradient for each of them, and the rewards. */
function run(loss: PreferenceLoss, share = 1) {
  const { logits, input_ids, ref_chosen_logps, ref_rejected_logps } = fixture;
  const program = trace((graph) => {
    const logits = input(graph, 'logits', [completions, T - 1, V]);
    const flat = (values: number[][] | number[], shape: number[]) => constant(graph, values.flat(), shape);
    const next = input_ids.flatMap((row: number[]) => row.slice(1));
    const logP = logSoftmax(logits);
    const ids = constant(graph, next, [completions, T - 1, 1], 'int32');
    const label = reshape(gatherElements(logP, ids, 2), [completions, T - 1]);
    const byCompletion = (x: Tensor, weights: number[][]) =>
      sum(mul(x, flat(weights, [completions, T - 1])), { axes: [1] });
    const tokens = flat(lengths, [completions]);
    const certainty = logSumExp(mul(logP, 2), { axes: [2] });
    const total = lengths.slice(0, P).reduce((a, b) => a + b);
    const numbers: Completions = {
      logP: byCompletion(label, tokenWeights(share)),
      likely: byCompletion(label, masks),
      reference: flat([...ref_chosen_logps, ...ref_rejected_logps], [completions]),
      tokens,
      perToken: flat(new Array(completions).fill(P / total), [completions]),
      confidence: mul(
        byCompletion(sub(label, certainty), masks),
        flat(
          lengths.map((n) => 1 / n),
          [completions],
        ),
      ),
      desirable: tokens,
      kl: tokens,
      seenSum: flat(new Array(completions).fill(0), [completions]),
      seenCount: flat(new Array(completions).fill(0), [completions]),
    };
    const { loss: each, rewards } = loss(numbers);
    const value = mean(each);
    const [gradient] = gradients(value, [logits]);
    return { value: reshape(value, [1]), gradient, rewards };
  });
  const before = logits.map((row: number[][]) => row.slice(0, -1));
  const { value, gradient, rewards } = program.run({ logits: before.flat(2) });
  program[Symbol.dispose]();
  const size = (T - 1) * V;
  const norms = lengths.map((_, i) => Math.hypot(...(gradient as Float32Array).subarray(i * size, (i + 1) * size)));
  return { value: value[0] as number, norms, rewards: Array.from(rewards as Float32Array) };
}

const near = (got: number, expected: number, tolerance: number) =>
  expect(Math.abs(got - expected)).toBeLessThanOrEqual(tolerance * Math.max(1e-2, Math.abs(expected)));

const cases = fixture.cases as Case[];
it.each(cases.map((one) => [[one.loss_type].flat().join('+'), JSON.stringify(one.options), one] as const))(
  '%s %s is that of TRL, with its gradients and rewards',
  (_, __, one) => {
    const { value, norms, rewards } = run(dpoLoss(optionsOf(one)), one.options.ld_alpha as number | undefined);
    near(value, one.loss, 1e-5);
    for (const [i, norm] of one.grad_logits_norm_per_row.entries()) near(norms[i], norm, 1e-4);
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    near(mean(rewards.slice(0, P)), one.metrics['rewards/chosen'], 1e-4);
    near(mean(rewards.slice(P)), one.metrics['rewards/rejected'], 1e-4);
  },
);
