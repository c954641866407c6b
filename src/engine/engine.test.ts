import { expect, test } from 'vitest';
import { add, gradients, input, linear, mean, mul, square, sub, sum, tanh, trace } from './index.ts';

test('traces, differentiates and runs a small network', () => {
  const program = trace((g) => {
    const x = input(g, 'x', ['n', 3]);
    const w = input(g, 'w', [2, 3]);
    const b = input(g, 'b', [2]);
    const y = tanh(linear(x, w, b));
    const loss = mean(square(sub(y, 1)));
    const [dw, db] = gradients(loss, [w, b]);
    return { loss, dw, db };
  });
  const feeds = { x: [1, 2, 3, 4, 5, 6], w: [0.1, -0.2, 0.3, 0, 0.1, -0.1], b: [0.5, -0.5] };
  const out = program.run(feeds);
  const eps = 1e-3;
  for (let i = 0; i < 6; i++) {
    const at = (d: number) =>
      program.run({ ...feeds, w: feeds.w.map((v, j) => (j === i ? v + d : v)) }).loss[0] as number;
    expect(out.dw[i]).toBeCloseTo((at(eps) - at(-eps)) / (2 * eps), 3);
  }
  program.release();
});
