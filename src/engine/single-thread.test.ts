import { expect, it } from 'vitest';
import { input, matmul, trace } from './index.ts';

it('a program of one thread gives what one of the shared pool gives', () => {
  const n = 200;
  const a = Float32Array.from({ length: n * n }, (_, i) => Math.sin(i));
  const [alone, shared] = [true, false].map((singleThread) => {
    const program = trace((g) => ({ y: matmul(input(g, 'a', [n, n]), input(g, 'b', [n, n])) }), { singleThread });
    const { y } = program.run({ a, b: a });
    program[Symbol.dispose]();
    return y;
  });
  expect(alone).toEqual(shared);
});
