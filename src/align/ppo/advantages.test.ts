import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectClose } from '../../../test/support/gradients.ts';
import { klOfToken } from '../policies/kl.ts';
import { completionAdvantages, explainedTokenVariance, tokenRewards, whiten } from './advantages.ts';
import { type KlOptions, nextBeta } from './kl-controller.ts';

/** Of TRL's PPO, with torch: see test/fixtures/losses/ppo.json. Each row is a completion of up to nine tokens. */
const fixture = JSON.parse(readFileSync(new URL('../../../test/fixtures/losses/ppo.json', import.meta.url), 'utf8'));
const { raw, cases } = fixture;
const last: number[] = raw.sequence_lengths;
const completions = last.map((end, i) => {
  const part = (rows: number[][]) => Float32Array.from(rows[i].slice(0, end + 1));
  return {
    logProbs: part(raw.logprobs),
    referenceLogProbs: part(raw.ref_logprobs),
    score: raw.scores[i],
    after: end + 1 < raw.logprobs[i].length,
  };
});
const values = completions.map(({ logProbs, after }, i) =>
  Float32Array.from(raw.values[i].slice(0, logProbs.length + (after ? 1 : 0))),
);
/** The fixture's numbers in a completion's own places. */
const own = (rows: number[][], like: readonly Float32Array[]) => rows.flatMap((row, i) => row.slice(0, like[i].length));
const flat = (numbers: readonly Float32Array[]) => numbers.flatMap((all) => [...all]);

describe.each<(typeof cases)[number]>(cases)(
  '$kl_estimator, whitened rewards $whiten_rewards, γ $gamma',
  (expected) => {
    it('makes advantages of scores as TRL does', () => {
      const rewards = completions.map((completion) =>
        tokenRewards(completion, expected.kl_coef, expected.kl_estimator),
      );
      const scaled = expected.whiten_rewards ? whiten(rewards, false) : rewards;
      expectClose(flat(scaled), own(expected.rewards, scaled), 2e-5, 'rewards');
      const { advantages, returns } = completionAdvantages(scaled, values, {
        discount: expected.gamma,
        lambda: expected.lam,
      });
      expectClose(flat(advantages), own(expected.advantages_raw, advantages), 2e-5, 'advantages');
      expectClose(flat(returns), own(expected.returns, returns), 2e-5, 'returns');
      const white = whiten(advantages.map((all, i) => all.subarray(0, completions[i].logProbs.length)));
      expectClose(flat(white), own(expected.advantages_whitened, white), 2e-5, 'whitened advantages');
    });
  },
);

it('whitens with and without a shift, as TRL does', () => {
  const { x, mask, shift_mean, no_shift } = fixture.whiten;
  const valid = (rows: number[][]) =>
    rows.map((row, i) => Float32Array.from(row.filter((_: number, j: number) => mask[i][j])));
  expectClose(flat(whiten(valid(x))), flat(valid(shift_mean)), 1e-5);
  expectClose(flat(whiten(valid(x), false)), flat(valid(no_shift)), 1e-5);
});

it('puts the score on the last token unless it comes after, and takes β times the KL of each', () => {
  const tokens = { logProbs: Float32Array.of(-1, -2), referenceLogProbs: Float32Array.of(-2, -2), score: 3 };
  expect([...tokenRewards({ ...tokens, after: false }, 0.5, 'k1')]).toEqual([-0.5, 3]);
  expect([...tokenRewards({ ...tokens, after: true }, 0.5, 'k1')].map((x) => x + 0)).toEqual([-0.5, 0, 3]);
});

it('estimates the KL of a token in three ways that agree on average', () => {
  expect(klOfToken(-1, -2, 'k1')).toBe(1);
  expect(klOfToken(-1, -2, 'k2')).toBe(0.5);
  expect(klOfToken(-1, -2, 'k3')).toBeCloseTo(Math.exp(-1) - 1 + 1, 12);
  const [p, q] = [
    [0.5, 0.3, 0.2],
    [0.4, 0.4, 0.2],
  ];
  const exact = p.reduce((sum, x, i) => sum + x * Math.log(x / q[i]), 0);
  for (const estimator of ['k1', 'k3'] as const) {
    const mean = p.reduce((sum, x, i) => sum + x * klOfToken(Math.log(x), Math.log(q[i]), estimator), 0);
    expect(mean).toBeCloseTo(exact, 12);
  }
});

it('explains all of the variance of returns, none, or less', () => {
  const returns = [Float32Array.of(1, 2, 3), Float32Array.of(4)];
  expect(explainedTokenVariance(returns, returns)).toBe(1);
  expect(explainedTokenVariance([new Float32Array(3), new Float32Array(1)], returns)).toBe(0);
  expect(explainedTokenVariance([Float32Array.of(3, 2, 1), Float32Array.of(-4)], returns)).toBeLessThan(0);
});

describe('β', () => {
  const options: KlOptions = { beta: 0.1, controller: 'fixed', target: 6, estimator: 'k1' };
  it.each<[KlOptions['controller'], number, number]>([
    ['fixed', 100, 0.1],
    ['adaptive', 3.9, 0.09],
    ['adaptive', 4.1, 0.1],
    ['adaptive', 8.9, 0.1],
    ['adaptive', 9.1, 0.11],
    ['proportional', 6, 0.1],
    ['proportional', 6.6, 0.1 * (1 + 0.1 * 0.064)],
    ['proportional', 60, 0.1 * (1 + 0.2 * 0.064)],
    ['proportional', 0, 0.1 * (1 - 0.2 * 0.064)],
  ])('%s, at a KL of %f', (controller, kl, expected) => {
    const { beta, next } = nextBeta({ ...options, controller }, { beta: 0.1 }, kl, 64);
    expect(beta).toBe(0.1);
    expect(next.beta).toBeCloseTo(expected, 12);
  });

  it('has no bound near the target with a barrier, and rests below it', () => {
    const barrier: KlOptions = { ...options, controller: 'barrier' };
    const at = (kl: number, last = kl) => nextBeta(barrier, { beta: 0.1, kl: last }, kl, 64);
    expect(at(0)).toMatchObject({ beta: 0.1, next: { kl: 0 } });
    expect(at(3.45).beta).toBeCloseTo(0.2, 12);
    expect(at(5.4).next.beta).toBeCloseTo(0.1, 12);
    expect(at(6.9).beta).toBeCloseTo(5, 12);
    expect(at(100).next.beta).toBeCloseTo(0.1 * Math.exp(0.05), 12);
    expect(at(4, 2).beta).toBeGreaterThan(at(3).beta);
    expect(nextBeta(barrier, { beta: 0 }, 100, 64).beta).toBe(0);
  });
});

it('puts the rewards of steps where they end, and the rest of the score at the end', () => {
  const tokens = { logProbs: Float32Array.of(-1, -2, -1), referenceLogProbs: Float32Array.of(-2, -2, -1), score: 3 };
  const steps = [
    { at: 0, reward: 2 },
    { at: 1, reward: -0.5 },
    { at: 2, reward: 0.25 },
  ];
  expect([...tokenRewards({ ...tokens, after: false, steps }, 0.5, 'k1')]).toEqual([1.5, -0.5, 1.5]);
  expect([...tokenRewards({ ...tokens, after: false, steps: [] }, 0, 'k1')].map((x) => x + 0)).toEqual([0, 0, 3]);
});
