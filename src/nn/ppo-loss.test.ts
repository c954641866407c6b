import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectClose } from '../../test/support/gradients.ts';
import { add, gradients, input, mean, mul, square, sub, type Tensor, trace } from '../engine/index.ts';
import { approximateKl, type KlEstimator, policyLoss, valueLoss } from './ppo-loss.ts';

/** Of TRL's PPO, with torch: see test/fixtures/losses/ppo.json. */
const fixture = JSON.parse(readFileSync(new URL('../../test/fixtures/losses/ppo.json', import.meta.url), 'utf8'));
const { raw, new_logprobs, vpred, padding_mask, padding_mask_p1, cases } = fixture;

const shape = [6, 9];
const flat = (rows: number[][]) => rows.flat();
/** Padding is left out of the losses, and holds a log-probability of 1 or a value of 0. */
const padded = (rows: number[][], mask: boolean[][], fill: number) =>
  rows.flatMap((row, i) => row.map((x, j) => (mask[i][j] ? fill : x)));
const numbers = (mask: boolean[][]) => mask.flat().map((out) => (out ? 0 : 1));

/** Runs what `build` makes of inputs of the fixture's shape. */
function run(data: Record<string, number[]>, build: (t: Record<string, Tensor>) => Record<string, Tensor>) {
  const program = trace((g) =>
    build(Object.fromEntries(Object.keys(data).map((name) => [name, input(g, name, shape)]))),
  );
  try {
    return program.run(data) as Record<string, Float32Array>;
  } finally {
    program[Symbol.dispose]();
  }
}

describe.each<(typeof cases)[number]>(cases)(
  '$kl_estimator, whitened rewards $whiten_rewards, γ $gamma',
  (expected) => {
    const data = {
      logProbs: flat(new_logprobs),
      oldLogProbs: padded(raw.logprobs, padding_mask, 1),
      advantages: flat(expected.advantages_whitened),
      values: flat(vpred),
      oldValues: padded(raw.values, padding_mask_p1, 0),
      returns: flat(expected.returns),
      mask: numbers(padding_mask),
      valueMask: numbers(padding_mask_p1),
    };

    it('gives the losses, their clipped shares and their gradients', () => {
      const out = run(data, (t) => {
        const surrogate = policyLoss(
          { logProbs: t.logProbs, oldLogProbs: t.oldLogProbs, advantages: t.advantages },
          expected.cliprange,
          t.mask,
        );
        const value = valueLoss(
          { values: t.values, returns: t.returns, oldValues: t.oldValues },
          expected.cliprange_value,
          t.valueMask,
        );
        const loss = add(surrogate.loss, mul(value.loss, expected.vf_coef));
        const [dLogProbs, dValues] = gradients(loss, [t.logProbs, t.values]);
        return {
          loss,
          policy: surrogate.loss,
          policyClipped: surrogate.clipFraction,
          value: value.loss,
          valueClipped: value.clipFraction!,
          kl: mean(approximateKl(surrogate.logRatio, 'k2')),
          dLogProbs,
          dValues,
        };
      });
      expectClose(out.loss, [expected.loss], 1e-5, 'loss');
      expectClose(out.policy, [expected.pg_loss], 1e-5, 'policy loss');
      expectClose(out.policyClipped, [expected.pg_clipfrac], 1e-5, 'policy clipped');
      expectClose(out.value, [expected.vf_loss], 1e-5, 'value loss');
      expectClose(out.valueClipped, [expected.vf_clipfrac], 1e-5, 'value clipped');
      expectClose(out.kl, [expected.approxkl], 1e-5, 'approximate KL');
      expectClose(out.dLogProbs, flat(expected.grad_new_logprobs), 1e-5, 'dLogProbs');
      expectClose(out.dValues, flat(expected.grad_vpred), 1e-5, 'dValues');
    });

    it('estimates the KL from the reference', () => {
      const reference = padded(raw.ref_logprobs, padding_mask, 1);
      const out = run({ reference, logProbs: data.oldLogProbs }, (t) => ({
        kl: approximateKl(sub(t.reference, t.logProbs), expected.kl_estimator as KlEstimator),
      }));
      expectClose(out.kl, flat(expected.kl), 1e-5);
    });
  },
);

it('takes the smaller of the plain and the clipped term, and its gradient', () => {
  // ratio, advantage → min(ρA, clip(ρ, 0.8, 1.2)A), and whether ρ has a gradient
  const table: [number, number, number, boolean][] = [
    [1.0, 2, 2, true],
    [1.1, 2, 2.2, true],
    [1.5, 2, 2.4, false],
    [0.5, 2, 1, true],
    [1.5, -2, -3, true],
    [0.5, -2, -1.6, false],
    [0.9, -2, -1.8, true],
    [1.5, 0, 0, false],
  ];
  for (const epsilon of ['number', 'tensor']) {
    const program = trace((g) => {
      const logProbs = input(g, 'logProbs', [table.length]);
      const terms = {
        logProbs,
        oldLogProbs: input(g, 'old', [table.length]),
        advantages: input(g, 'A', [table.length]),
      };
      const { loss, clipFraction } = policyLoss(terms, epsilon === 'number' ? 0.2 : input(g, 'ε', []));
      return { loss, clipFraction, gradient: gradients(loss, [logProbs])[0] };
    });
    const out = program.run({
      logProbs: table.map(([ratio]) => Math.log(ratio)),
      old: new Float32Array(table.length),
      A: table.map(([, advantage]) => advantage),
      ...(epsilon === 'tensor' ? { ε: 0.2 } : {}),
    });
    const n = table.length;
    expectClose(out.loss as Float32Array, [-table.reduce((s, [, , term]) => s + term, 0) / n], 1e-6, 'loss');
    expectClose(out.clipFraction as Float32Array, [2 / n], 1e-6, 'clip fraction');
    expectClose(
      out.gradient as Float32Array,
      table.map(([ratio, advantage, , moves]) => (moves ? (-ratio * advantage) / n : 0)),
      1e-6,
      'gradient',
    );
    program[Symbol.dispose]();
  }
});

it('without a range, the value loss is half the mean square', () => {
  const data = { values: Array.from({ length: 54 }, (_, i) => Math.sin(i)), returns: new Array<number>(54).fill(0.5) };
  const out = run(data, (t) => ({
    loss: valueLoss(t as never).loss,
    same: mul(mean(square(sub(t.values, t.returns))), 0.5),
  }));
  expect(out.loss[0]).toBeCloseTo(out.same[0], 6);
});
