import { expect, it } from 'vitest';
import { readGuards } from './overoptimization.ts';

it('reads guards, each with how strong it is', () => {
  expect(readGuards('')).toEqual([]);
  expect(readGuards('kl:0.1, target:4,pessimism:2')).toEqual([
    { name: 'kl:0.1', settings: { kl: { beta: 0.1, controller: 'fixed' } } },
    { name: 'target:4', settings: { kl: { beta: 0.1, controller: 'barrier', target: 4 } } },
    { name: 'pessimism:2', settings: { rewardCall: { pessimism: 2 } } },
  ]);
});

it('joins several to one', () => {
  expect(readGuards('kl:0.1+repetition:3+sameness:1')![0].settings).toEqual({
    kl: { beta: 0.1, controller: 'fixed' },
    guards: { repetition: 3, sameness: 1 },
  });
});

it.each(['luck', 'kl:', 'kl:x', 'kl:-1', 'constructor', 'kl+'])('says that "%s" is no guard', (text) => {
  expect(readGuards(text)).toBeUndefined();
});
