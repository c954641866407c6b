import { describe, expect, it } from 'vitest';
import { pearson, spearman } from './correlation.ts';

describe('correlation', () => {
  it('is 1 on a line, −1 on a falling one, and what the textbook says between', () => {
    expect(pearson([1, 2, 3], [10, 20, 30])).toBeCloseTo(1, 12);
    expect(pearson([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12);
    // Anscombe's first set, r = 0.816
    const x = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5];
    const y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
    expect(pearson(x, y)).toBeCloseTo(0.81642, 5);
  });

  it('ranks: any rising curve is 1, equal values share their mean rank', () => {
    expect(spearman([1, 2, 3, 4], [1, 10, 100, 1000])).toBeCloseTo(1, 12);
    expect(spearman([1, 2, 2, 3], [1, 2, 3, 4])).toBeCloseTo(0.948683, 6);
  });

  it('is nothing where one side never varies', () => {
    expect(pearson([25, 25, 25], [1, 2, 3])).toBeNaN();
    expect(spearman([1, 2, 3], [0.1, 0.1, 0.1])).toBeNaN();
    expect(pearson([0.1, 0.1, 0.1], [1, 2, 3])).toBeNaN();
  });
});
