import { expect, it } from 'vitest';
import { nearest } from './nearest.ts';

it('finds what a misspelt name means', () => {
  expect(nearest('humna', ['oracle', 'mistake', 'human'])).toEqual(['human']);
  expect(nearest('cartpole-V1', ['CartPole-v1', 'CartPole-v0'])).toEqual(['CartPole-v1']);
  expect(nearest('CartPole-v2', ['CartPole-v1', 'CartPole-v0', 'Ant-v5'])).toEqual(['CartPole-v1', 'CartPole-v0']);
});

it('finds nothing where half of the letters differ, or there are no names', () => {
  expect(nearest('chess', ['oracle', 'human'])).toEqual([]);
  expect(nearest('ab', ['ac'])).toEqual([]);
  expect(nearest('x', [])).toEqual([]);
});
