import { describe, expect, it } from 'vitest';
import {
  at,
  checkGradient,
  checkOp,
  evaluate,
  fill,
  type Numbers,
  numbers,
  of,
} from '../../../test/support/gradients.ts';
import {
  gather,
  gatherElements,
  gradients,
  input,
  mul,
  oneHot,
  scatterAdd,
  scatterElements,
  scatterElementsAdd,
  square,
  sum,
  type Tensor,
  trace,
} from '../index.ts';

describe.each(['int32', 'int64'] as const)('indices of %s', (dtype) => {
  const table = numbers([5, 3]);
  const indices = of([2, 4], [0, 4, 4, 1, 4, 0, 2, 4], dtype); // 3 never, 4 often

  it('gather rows, and add up the gradients of rows that come twice', () => {
    const expected = fill([2, 4, 3], ([i, j, k]) => at(table, at(indices, i, j), k));
    checkOp(({ table, indices }) => gather(table, indices), { table, indices }, expected);
  });

  it('gather numbers, and one row', () => {
    const t = numbers([5]);
    const i = of([3], [4, 0, 4], dtype);
    checkOp(({ t, i }) => gather(t, i), { t, i }, [t.data[4], t.data[0], t.data[4]]);
    checkOp(({ table, i }) => gather(table, i), { table, i: of([], [2], dtype) }, table.data.slice(6, 9));
  });

  it('scatterAdd adds rows, those that come twice twice', () => {
    const rows = numbers([2, 4, 3], { seed: 1 });
    const expected = [...table.data];
    for (let r = 0; r < 8; r++) for (let k = 0; k < 3; k++) expected[indices.data[r] * 3 + k] += rows.data[r * 3 + k];
    checkOp((t) => scatterAdd(t.table, t.indices, t.rows), { table, indices, rows }, expected);
  });

  it.each([
    [1, [2, 2, 4]],
    [-1, [2, 3, 5]],
    [0, [6, 3, 4]],
  ])('gatherElements and scatterElementsAdd along axis %i', (axis, shape) => {
    const x = numbers([2, 3, 4]);
    const along = axis < 0 ? axis + 3 : axis;
    const size = shape.reduce((a, b) => a * b, 1);
    const places = of(
      shape,
      Array.from({ length: size }, (_, n) => (n * n) % x.shape[along]),
      dtype,
    );
    const from = (place: number[]) => place.map((v, k) => (k === along ? at(places, ...place) : v));
    const picked = fill(shape, (place) => at(x, ...from(place)));
    checkOp((t) => gatherElements(t.x, t.places, axis), { x, places }, picked);

    const values = numbers(shape, { seed: 1 });
    const expected: Numbers = { shape: x.shape, data: [...x.data] };
    fill(shape, (place) => {
      const [a, b, c] = from(place);
      expected.data[(a * 3 + b) * 4 + c] += at(values, ...place);
      return 0;
    });
    checkOp((t) => scatterElementsAdd(t.x, t.places, t.values, axis), { x, places, values }, expected);
  });

  it('scatterElements puts values in the place of others', () => {
    const x = numbers([3, 4]);
    const places = of([3, 1], [2, 0, 3], dtype);
    const values = numbers([3, 1], { seed: 1 });
    const expected = [...x.data];
    places.data.forEach((place, row) => {
      expected[row * 4 + place] = values.data[row];
    });
    checkOp((t) => scatterElements(t.x, t.places, t.values, 1), { x, places, values }, expected);
  });

  it('oneHot', () => {
    const expected = indices.data.flatMap((i) => Array.from({ length: 5 }, (_, k) => Number(k === i)));
    expect(evaluate(({ indices }) => oneHot(indices, 5), { indices })).toEqual(expected);
    expect(evaluate(({ indices }) => oneHot(indices, 5), { indices }, true)).toEqual(expected);
  });
});

it('differentiate twice', () => {
  const inputs = { x: numbers([4, 3]), i: of([5], [0, 3, 3, 1, 3], 'int32') };
  checkGradient(({ x, i }) => gradients(sum(mul(square(gather(x, i)), gather(x, i))), [x])[0], inputs);
  const each = { x: numbers([2, 3]), i: of([2, 2], [2, 2, 0, 1], 'int64') };
  checkGradient(({ x, i }) => gradients(sum(square(gatherElements(x, i, 1))), [x])[0], each);
});

it('adds every gradient of a large batch, whatever thread has it', () => {
  // Whole numbers below 2²⁴ add exactly, in any order; an addition lost between threads would show.
  const [rows, vocabulary, width] = [200_000, 7, 4];
  const program = trace((g) => {
    const table = input(g, 'table', [vocabulary, width]);
    const i = input(g, 'i', ['n'], 'int32');
    const wide = input(g, 'wide', [3, vocabulary]);
    const each = gatherElements(wide, input(g, 'j', [3, 'n'], 'int32'), 1);
    const [byRow] = gradients(sum(gather(table, i)), [table]);
    const [byElement] = gradients(sum(each), [wide]);
    return { byRow, byElement };
  });
  const i = Int32Array.from({ length: rows }, (_, n) => (n * n) % vocabulary);
  const counts = Array(vocabulary).fill(0);
  for (const v of i) counts[v]++;
  const j = new Int32Array(3 * rows);
  for (let k = 0; k < 3; k++) j.set(i, k * rows);
  for (let turn = 0; turn < 5; turn++) {
    const out = program.run({
      i,
      j,
      table: new Float32Array(vocabulary * width),
      wide: new Float32Array(3 * vocabulary),
    });
    expect(Array.from(out.byRow as Float32Array)).toEqual(counts.flatMap((c) => Array(width).fill(c)));
    expect(Array.from(out.byElement as Float32Array)).toEqual([...counts, ...counts, ...counts]);
  }
  program[Symbol.dispose]();
});

it('tells where an index lies outside', () => {
  const program = trace((g) => ({ y: gather(input(g, 'table', [3, 2]), input(g, 'i', ['n'], 'int32')) }));
  expect(() => program.run({ table: [1, 2, 3, 4, 5, 6], i: [0, 3] })).toThrow(
    expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(/out of .*bounds.*idx=3/) }),
  );
  program[Symbol.dispose]();
});

it('names the tensors in errors of shape and dtype', () => {
  trace((g) => {
    const table = input(g, 'table', [5, 3]);
    const i = input(g, 'ids', ['n'], 'int32');
    const rows = input(g, 'rows', ['n', 3]);
    const wrong: [() => Tensor, RegExp][] = [
      [() => gather(table, rows), /gather: indices must be int32 or int64, got rows float32\[n, 3\]/],
      [() => gather(input(g, 'number', []), i), /gather: number float32\[\] has no rows/],
      [() => scatterAdd(table, i, table), /scatterAdd: rows table .* do not fit table .* at ids/],
      [() => scatterAdd(table, i, input(g, 'counts', ['n', 3], 'int32')), /scatterAdd: rows counts int32/],
      [() => gatherElements(table, i, 1), /gatherElements: ids .* does not fit table .* along axis 1/],
      [() => gatherElements(table, i, 2), /gatherElements: no axis 2 in table/],
      [() => gatherElements(table, input(g, 'j', [4, 1], 'int32'), 1), /gatherElements: j int32\[4, 1\]/],
      [() => scatterElementsAdd(table, i, rows, 0), /scatterElementsAdd: rows .* at ids .* does not fit table/],
      [() => oneHot(rows, 3), /oneHot: indices must be .* got rows/],
      [() => oneHot(i, 0), /oneHot: depth 0 for ids/],
    ];
    for (const [build, message] of wrong) {
      expect(build, `${message}`).toThrow(
        expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(message) }),
      );
    }
    return { y: mul(table, 2) };
  })[Symbol.dispose]();
});
