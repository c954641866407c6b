import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ExactNumber, parseExact, roundExact, stringifyExact } from './exact-number.ts';

const written = '{"id":1234567890123456789,"price":10.0,"tiny":1e-7,"big":1E16,"zero":-0,"plain":[1,0.5,"10.0"]}';

it('keeps numbers as they are written', () => {
  expect(stringifyExact(parseExact(written))).toBe(written);
  expect(JSON.stringify(parseExact(written))).toBe(JSON.stringify(JSON.parse(written)));
});

it('has an ExactNumber only where a double would write something else', () => {
  const { id, plain } = parseExact(written) as { id: ExactNumber; plain: unknown[] };
  expect(id).toBeInstanceOf(ExactNumber);
  expect([Number(id), `${id}`]).toEqual([1234567890123456800, '1234567890123456789']);
  expect(plain).toEqual([1, 0.5, '10.0']);
});

it('is not confused by texts with quotes, backslashes or the mark', () => {
  const json = JSON.stringify({ 'a\\"10.0': '\\"1e5', b: '\ufdd51.0', c: 'x\\' });
  expect(parseExact(json)).toEqual(JSON.parse(json));
});

it('rounds what is not to be kept', () => {
  const rounded = roundExact(parseExact(written), ({ text }) => /^\d{16,}$/.test(text));
  expect(stringifyExact(rounded)).toBe(
    '{"id":1234567890123456789,"price":10,"tiny":1e-7,"big":10000000000000000,"zero":0,"plain":[1,0.5,"10.0"]}',
  );
});

it('reads any JSON as JSON.parse does', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json = JSON.stringify(value);
      expect(JSON.parse(JSON.stringify(parseExact(json)))).toEqual(JSON.parse(json));
      expect(stringifyExact(parseExact(json))).toBe(json);
    }),
    { seed: 4 },
  );
});
