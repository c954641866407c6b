import { expect, test } from 'vitest';
import { checkGradient, evaluate, expectClose, of } from '../../test/support/gradients.ts';
import { gru } from './gru.ts';

/** PyTorch 2.15's torch.nn.GRU(2, 3): four steps of two sequences, of which one begins anew after two steps, the other at once. */
const inputs = {
  x: of(
    [8, 2],
    [-0.625, -1.75, -1.0, 0.375, 2.25, -1.25, 2.375, 1.5, -0.375, -1.0, -1.625, -0.625, 0.625, -0.0, -0.375, 2.0],
  ),
  state: of([2, 3], [-0.0, -1.125, 0.125, 0.625, -0.375, 0.5]),
  begins: of([8, 1], [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
  'memory.input.weight': of(
    [9, 2],
    [
      0.4375, -0.0625, -0.125, -0.0625, -0.4375, 1.25, 0.25, -0.875, -0.125, 0.1875, 0.1875, 0.1875, -0.625, 0.6875,
      -0.0, -0.4375, -0.1875, 0.3125,
    ],
  ),
  'memory.input.bias': of([9], [0.25, 0.3125, -1.25, -1.25, 0.375, -0.0625, -0.5625, -0.4375, 0.125]),
  'memory.state.weight': of(
    [9, 3],
    [
      -0.375, -0.3125, -0.1875, 0.25, 0.5625, -0.1875, 0.0625, 0.4375, 1.0, 0.5625, 0.4375, 0.0, -0.375, 0.625, -0.5625,
      -0.0625, 0.1875, 1.5625, -0.6875, -0.0625, 0.3125, 0.625, -0.4375, -0.625, -0.75, 0.3125, 0.3125,
    ],
  ),
  'memory.state.bias': of([9], [0.0, 0.0625, -0.3125, -0.8125, -1.0625, 0.0625, -0.0, -0.25, 0.625]),
};
const states = [
  -0.66091228, 0.15419291, -0.12925158, 0.28916702, -0.39632541, 0.3001233, -0.87922019, -0.11000922, -0.35109383,
  -0.72950435, -0.71731001, 0.29425925, -0.60114628, -0.10681069, -0.04272414, 0.26237708, -0.50396734, 0.33612323,
  -0.58850497, -0.43680623, 0.04251049, 0.76270884, -0.76473522, 0.48958069,
];

const { step, unroll } = gru('memory', 2, 3);

test('states are those of PyTorch, and begin anew with an episode', () => {
  const unrolled = evaluate((t) => unroll(t.x, t.state, t.begins, { length: 4, n: 2 }), inputs);
  expectClose(unrolled, states, 1e-6);
  // whatever came before an episode plays no part in it
  const other = evaluate((t) => unroll(t.x, t.state, t.begins, { length: 4, n: 2 }), {
    ...inputs,
    state: of([2, 3], [...inputs.state.data.slice(0, 3), 5, -5, 5]),
  });
  expect(other).toEqual(unrolled);
});

test('a step is that of an unrolled sequence', () => {
  const once = evaluate((t) => step(t.x, t.state), {
    ...inputs,
    x: of([2, 2], inputs.x.data.slice(0, 4)),
    state: of([2, 3], [...inputs.state.data.slice(0, 3), 0, 0, 0]),
  });
  expectClose(once, states.slice(0, 6), 1e-6);
});

test('gradients go back through all steps to where the episode began', () => {
  checkGradient((t) => unroll(t.x, t.state, t.begins, { length: 4, n: 2 }), inputs, {
    symbols: false,
    wrt: Object.keys(inputs).filter((name) => name !== 'begins'),
  });
});
