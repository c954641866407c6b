import { expect, it } from 'vitest';
import { completionKl, klOfToken, klTaper } from './kl.ts';

it('adds up the estimates of the tokens, by the estimator that is named', () => {
  const rollout = {
    logProbs: [Float32Array.of(-1, -2), Float32Array.of(-0.5)],
    referenceLogProbs: [Float32Array.of(-3, -1), Float32Array.of(-0.5)],
  };
  expect(completionKl(rollout)).toEqual([1, 0]);
  expect(completionKl(rollout, 'k2')).toEqual([2.5, 0]);
  expect(completionKl(rollout, 'k3')).toEqual([klOfToken(-1, -3, 'k3') + klOfToken(-2, -1, 'k3'), 0]);
});

it('slows the learning from half of a limit on', () => {
  expect([-1, 0, 5, 7.5, 10, 30].map((kl) => klTaper(kl, 10))).toEqual([1, 1, 1, 0.5, 0, 0]);
  expect(klTaper(30, 0)).toBe(1);
});

it('goes half of the way that is left where the last step was large', () => {
  expect(klTaper(4, 10, { kl: 0, factor: 1 })).toBe(0.75); // 3 of 6 nats, where a full step goes 4
  expect(klTaper(4, 10, { kl: 2, factor: 0.5 })).toBe(0.75);
  expect(klTaper(4, 10, { kl: 3.5, factor: 1 })).toBe(1);
  expect(klTaper(9, 10, { kl: 11, factor: 0 })).toBe(0.2);
});
