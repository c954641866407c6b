import { expect, it } from 'vitest';
import { near } from './kit.ts';

it('near takes what rounds differently, and not what is a little wrong', () => {
  near(0.1 + 0.2, 0.3, 'The sum');
  near(1e6 + 0.5, 1e6, 'A large number');
  expect(() => near(0.301, 0.3, 'The sum')).toThrow('The sum: yours is 0.301.');
  expect(() => near(Number.NaN, 0.3, 'The sum')).toThrow();
});
