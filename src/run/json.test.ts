import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import { fromJson, toJson } from './json.ts';

describe('toJson and fromJson', () => {
  it('give back any plain data, every number bit for bit', () => {
    const plain = fc.anything({
      values: [fc.double(), fc.string(), fc.boolean(), fc.constant(null)],
      withNullPrototype: false,
    });
    fc.assert(
      fc.property(plain, (value) => {
        if (JSON.stringify(value)?.includes('$number')) return;
        expect(isDeepStrictEqual(fromJson(toJson(value, 'value')), value)).toBe(true);
      }),
      { seed: 1 },
    );
    for (const number of [-0, 0, Number.NaN, Infinity, -Infinity, 5e-324, Number.MAX_VALUE]) {
      expect(Object.is(fromJson(toJson(number, 'value')), number)).toBe(true);
    }
    const odd = JSON.parse('{"__proto__": 1, "constructor": [2], "1": 3}');
    expect(isDeepStrictEqual(fromJson(toJson(odd, 'value')), odd)).toBe(true);
  });

  it('leaves out what is undefined in an object', () => {
    expect(toJson({ a: undefined, b: 1 }, 'value')).toBe('{"b":1}');
  });

  it('refuses, with the place, what would come back as something else', () => {
    const refuses = (value: unknown): string => {
      try {
        toJson(value, 'state');
      } catch (error) {
        expect(error).toBeInstanceOf(HeedError);
        return (error as HeedError).message;
      }
      throw new Error('expected a refusal');
    };
    expect(refuses({ a: [1, { b: new Float32Array(2) }] })).toContain('state.a[1].b is a Float32Array');
    expect(refuses([undefined])).toContain('state[0] is undefined');
    expect(refuses({ when: new Date(0) })).toContain('state.when is a Date');
    expect(refuses({ f: () => 1 })).toContain('state.f is function');
    expect(refuses({ n: 1n })).toContain('state.n is bigint');
    expect(refuses(new Map())).toContain('state is a Map');
    expect(refuses({ $number: 'NaN' })).toContain('"$number"');
    const circle: unknown[] = [];
    circle.push(circle);
    expect(refuses(circle)).toContain('does it contain itself?');
  });
});
