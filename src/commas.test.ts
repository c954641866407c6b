import { expect, it } from 'vitest';
import { withCommas } from './commas.ts';

it('writes numbers as the English locale does', () => {
  const numbers = [0, -0, 7, 999, 1000, -1234567, 1e15, 12345.6789, -0.0004, 999999.9996, 1234.5, NaN];
  for (const x of numbers.slice(2)) expect(withCommas(x)).toBe(x.toLocaleString('en-US').replace(/^-0$/, '0'));
  expect([withCommas(0), withCommas(-0), withCommas(1e22)]).toEqual(['0', '0', '1e+22']);
});
