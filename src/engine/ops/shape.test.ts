import { describe, expect, it } from 'vitest';
import { at, checkGradient, checkOp, evaluate, fill, numbers, of } from '../../../test/support/gradients.ts';
import {
  add,
  concat,
  expand,
  gradients,
  input,
  lessOrEqual,
  mul,
  range,
  reshape,
  type Shape,
  slice,
  split,
  square,
  squeeze,
  sum,
  sumTo,
  type Tensor,
  trace,
  transpose,
  unsqueeze,
  Value,
  zerosLike,
} from '../index.ts';

const x = numbers([2, 3, 4]);

describe('reshape', () => {
  it.each([[[6, 4]], [[-1]], [[2, -1, 2]], [[1, 24, 1]], [[4, 3, 2]], [[2, 3, 4]]])('to %j', (shape) => {
    checkOp(({ x }) => reshape(x, shape), { x }, x, { symbols: false });
  });

  it('to symbolic shapes', () => {
    const shapes: Shape[] = [['size2*size3', 'size4'], [-1, 'size4'], [-1], ['size3', 'size2', 'size4'], ['size2', -1]];
    for (const shape of shapes) {
      const run = (t: Record<string, Tensor>) =>
        reshape(t.x, t.x.shape.includes('size2') ? shape : shape.map((d) => (d === -1 ? d : product(d))));
      checkOp(run, { x }, x);
    }
  });
  // "size2*size3" → 6, for the turn with fixed sizes
  const product = (d: number | string) => [...String(d).matchAll(/\d+/g)].reduce((n, [s]) => n * Number(s), 1);

  it('of something empty', () => {
    const p = trace((g) => {
      const t = input(g, 'x', ['a', 'b', 3]);
      return { y: reshape(t, ['b', 'a', 3]), z: reshape(t, ['a*b', 3]), fixed: reshape(input(g, 'e', [2, 0]), [0, 5]) };
    });
    const value = new Value('float32', [2, 0, 3]);
    const e = new Value('float32', [2, 0]);
    const out = p.run({ x: value, e });
    expect([out.y.length, out.z.length, out.fixed.length]).toEqual([0, 0, 0]);
    for (const v of [value, e]) v[Symbol.dispose]();
    p[Symbol.dispose]();
  });
});

describe('transpose', () => {
  it.each([[[0, 1, 2]], [[2, 1, 0]], [[1, 2, 0]], [[0, 2, 1]]])('%j', (order) => {
    const shape = order.map((a) => x.shape[a]);
    const expected = fill(shape, (place) => {
      const from: number[] = [];
      order.forEach((axis, i) => {
        from[axis] = place[i];
      });
      return at(x, ...from);
    });
    checkOp(({ x }) => transpose(x, order), { x }, expected);
  });
});

describe('expand and sumTo', () => {
  it('are inverse to each other', () => {
    const y = numbers([3, 1]);
    const wide = fill([2, 3, 4], ([, j]) => y.data[j]);
    checkOp(({ x, y }) => expand(y, x.shape), { x, y }, wide, { wrt: ['y'] });
    const summed = fill([3, 1], ([j]) => {
      let total = 0;
      for (let i = 0; i < 2; i++) for (let k = 0; k < 4; k++) total += at(x, i, j, k);
      return total;
    });
    checkOp(({ x, y }) => sumTo(x, y.shape), { x, y }, summed, { wrt: ['x'] });
    checkOp(({ x }) => expand(x, [5]), { x: of([], [3]) }, [3, 3, 3, 3, 3]);
    checkOp(({ x }) => sumTo(x, []), { x: of([3], [1, 2, 3]) }, [6]);
  });

  it('leave what fits alone', () => {
    checkOp(({ x }) => expand(x, x.shape), { x }, x);
    checkOp(({ x }) => sumTo(x, x.shape), { x }, x);
  });

  it('differentiate after a gradient was traced from a broadcast', () => {
    // sum() of the same axes is the node that the first gradient made: it must have a gradient too
    checkGradient(
      (t) => {
        const dy = gradients(sum(square(mul(t.x, t.y))), [t.y])[0];
        return sum(mul(dy, square(t.y)), { axes: [0], keepDims: true });
      },
      { x: numbers([2, 3]), y: numbers([1, 3], { seed: 1 }) },
    );
  });
});

describe('concat and split', () => {
  it.each([0, 1, 2, -1, -3])('along axis %i', (axis) => {
    const other = (size: number) => x.shape.map((d, i) => (i === (axis + 3) % 3 ? size : d));
    const [a, b] = [numbers(other(5), { seed: 1 }), numbers(other(1), { seed: 2 })];
    const all = [x, a, b];
    const shape = other([x, a, b].reduce((n, t) => n + t.shape[(axis + 3) % 3], 0));
    const joined = fill(shape, (place) => {
      const i = (axis + 3) % 3;
      const from = [...place];
      for (const part of all) {
        if (from[i] < part.shape[i]) return at(part, ...from);
        from[i] -= part.shape[i];
      }
      return Number.NaN;
    });
    checkOp(({ x, a, b }) => concat([x, a, b], axis), { x, a, b }, joined);
    const sizes = (t: Record<string, Tensor>) => [t.x, t.a, t.b].map((u) => u.shape[(axis + 3) % 3]);
    for (const [i, part] of all.entries()) {
      checkOp((t) => split(concat([t.x, t.a, t.b], axis), sizes(t), axis)[i], { x, a, b }, part, {
        wrt: ['x', 'a', 'b'].slice(i, i + 1),
      });
    }
    // Only one piece is used: the others get no gradient, which is zero.
    checkGradient((t) => square(split(t.x, sizes3(t.x, axis), axis)[0]), { x });
  });
  const sizes3 = (t: Tensor, axis: number) => {
    const size = t.shape.at(axis)!;
    return typeof size === 'number' ? [1, size - 1] : [1, `${size}+-1`];
  };

  it('of one part is that part', () => {
    checkOp(({ x }) => concat([x], 1), { x }, x);
    checkOp(({ x }) => split(x, [x.shape[1]], 1)[0], { x }, x);
  });

  it('the same tensor twice', () => {
    checkOp(({ y }) => concat([y, y], 0), { y: of([2], [1, 2]) }, [1, 2, 1, 2]);
  });
});

describe('slice', () => {
  it.each([
    [0, 0, 1],
    [1, 1, 3],
    [-1, 1, 3],
    [2, -3, -1],
    [2, -1, 4],
    [1, 0, 3],
    [1, 2, 2],
  ])('axis %i from %i to %i', (axis, start, end) => {
    const i = (axis + 3) % 3;
    const from = start < 0 ? start + x.shape[i] : start;
    const to = end < 0 ? end + x.shape[i] : end;
    const expected = fill(
      x.shape.map((d, k) => (k === i ? to - from : d)),
      (place) => at(x, ...place.map((v, k) => (k === i ? v + from : v))),
    );
    checkOp(({ x }) => slice(x, axis, start, end), { x }, expected, { symbols: false });
  });

  it('with symbolic bounds', () => {
    const joined = (t: Record<string, Tensor>) => concat([t.a, t.b], 0);
    const inputs = { a: numbers([2]), b: numbers([3], { seed: 1 }), c: numbers([4], { seed: 2 }) };
    const { a, b, c } = inputs;
    const size = (t: Tensor) => t.shape[0];
    checkOp((t) => slice(joined(t), 0, size(t.a), -1), inputs, b.data.slice(0, 2), { wrt: ['b'] });
    checkOp((t) => slice(joined(t), 0, 0, size(t.a)), inputs, a, { wrt: ['a'] });
    checkOp((t) => slice(joined(t), 0, 1, size(joined(t))), inputs, [a.data[1], ...b.data], { wrt: ['a', 'b'] });
    // a bound of two terms: everything past a and b
    const three = (t: Record<string, Tensor>) => concat([t.a, t.b, t.c], 0);
    const tail = (t: Record<string, Tensor>) => slice(three(t), 0, size(joined(t)), size(three(t)));
    checkOp(tail, inputs, c, { wrt: ['c'] });
    const head = (t: Record<string, Tensor>) => slice(three(t), 0, size(t.a), size(joined(t)));
    checkOp(head, inputs, b, { wrt: ['b'] });
  });
});

describe('range', () => {
  it('counts to a number or a symbol, and makes a causal mask', () => {
    const past = (t: Tensor) => range(t.graph, t.shape[0]);
    const inputs = { x: numbers([4]) };
    for (const symbols of [false, true]) {
      expect(evaluate((t) => past(t.x), inputs, symbols)).toEqual([0, 1, 2, 3]);
      const causal = (t: Record<string, Tensor>) => lessOrEqual(unsqueeze(past(t.x), 0), unsqueeze(past(t.x), 1));
      const mask = [1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1];
      expect(evaluate(causal, inputs, symbols)).toEqual(mask);
    }
    const fixed = trace((g) => ({ y: range(g, 'n'), z: add(input(g, 'x', ['n']), 1) }), { dims: { n: 3 } });
    expect(Array.from(fixed.run({ x: [1, 2, 3] }).y, Number)).toEqual([0, 1, 2]);
    fixed[Symbol.dispose]();
  });
});

describe('unsqueeze, squeeze and zeros', () => {
  it('add and drop axes of size 1', () => {
    const y = numbers([2, 3]);
    for (const axis of [0, 1, 2, -1, -2, -3]) {
      const shape = trace((g) => {
        const t = unsqueeze(input(g, 'y', [2, 3]), axis);
        return { t };
      });
      expect(shape.outputs[0].shape.indexOf(1)).toBe(axis < 0 ? axis + 3 : axis);
      shape[Symbol.dispose]();
      checkOp(
        ({ y }) => squeeze(unsqueeze(mul(y, 2), axis), axis),
        { y },
        y.data.map((v) => 2 * v),
      );
    }
  });
  it('zeros have the shape of another', () => {
    expect(evaluate(({ x }) => zerosLike(x), { x }, true)).toEqual(Array(24).fill(0));
    expect(evaluate(({ x }) => zerosLike(sum(x)), { x })).toEqual([0]);
  });
});

it('names the tensor in errors', () => {
  trace((g) => {
    const t = input(g, 'image', ['n', 3, 4]);
    const u = input(g, 'other', ['n', 3], 'int32');
    const wrong: [() => unknown, RegExp][] = [
      [() => reshape(t, [5, -1]), /reshape: image float32\[n, 3, 4\] does not fit \[5, -1\]/],
      [() => reshape(t, [12]), /reshape: image/],
      [() => reshape(t, [-1, -1, 12]), /reshape: image/],
      [() => transpose(t, [0, 1]), /transpose: \[0,1\] is not an order of the axes of image/],
      [() => transpose(t, [0, 1, 1]), /transpose: .* image/],
      [() => expand(t, [3, 4]), /expand: image .* does not broadcast to \[3, 4\]/],
      [() => concat([], 0), /concat: nothing to join/],
      [() => concat([t, u], 0), /concat: other int32\[n, 3\] does not join image/],
      [() => concat([t, t], 3), /concat: no axis 3 in image/],
      [() => concat([t, input(g, 'wide', ['n', 2, 5])], 1), /wide float32\[n, 2, 5\] does not join image/],
      [() => split(t, [1, 1], 1), /split: \[1, 1\] does not add up to axis 1 of image/],
      [() => split(t, [4, -1], 1), /split: \[4, -1\] does not add up/],
      [() => split(t, [], 1), /split/],
      [() => slice(t, 1, 0, 4), /slice: \[0, 4\) is outside axis 1 of image/],
      [() => slice(t, 1, 2, 1), /slice: \[2, 1\)/],
      [() => slice(t, 2, -5, 4), /slice: \[-5, 4\)/],
      [() => slice(t, 7, 0, 1), /slice: no axis 7 in image/],
      [() => squeeze(t, 1), /squeeze: axis 1 of image .* is not 1/],
      [() => unsqueeze(t, 4), /unsqueeze: no place for axis 4 in image/],
      [() => unsqueeze(t, -5), /unsqueeze: no place for axis -5 in image/],
    ];
    for (const [build, message] of wrong) {
      expect(build, `${message}`).toThrow(
        expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(message) }),
      );
    }
    return { t: mul(t, 2) };
  })[Symbol.dispose]();
});
