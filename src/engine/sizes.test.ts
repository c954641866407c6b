import { expect, it } from 'vitest';
import { expand, gradients, input, mean, mul, reshape, slice, split, sum, tanh, trace } from './index.ts';

it('replaces symbols of known size wherever they are named, so that no shape is worked out at run time', () => {
  const program = trace(
    (g) => {
      const x = input(g, 'x', ['batch', 'time', 2]);
      const flat = reshape(x, ['batch*time', 2]);
      const wide = expand(reshape(flat, [1, '2*batch*time']), ['time', '2*time*batch']);
      const [first] = split(x, [1, 'time+-1'], 1);
      const loss = mean(mul(tanh(slice(wide, 0, 1, 'time')), 3));
      const [dx] = gradients(loss, [x]);
      return { dx, first: sum(first), loss };
    },
    { dims: { batch: 2, time: 3 } },
  );
  expect(program.inputs[0].shape).toEqual([2, 3, 2]);
  expect(program.outputs[0].shape).toEqual([2, 3, 2]);
  expect(Buffer.from(program.model).includes('Shape')).toBe(false);
  program[Symbol.dispose]();
});
