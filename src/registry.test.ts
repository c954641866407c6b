import { expect, test } from 'vitest';
import { createRegistry } from './registry.ts';

const double = (x: number) => 2 * x;
const square = (x: number) => x * x;

test('a registry finds what was there from the start and what was added, and names both in order', () => {
  const registry = createRegistry('rule', { double });
  registry.register('square', square);
  expect(registry.get('double')(3)).toBe(6);
  expect(registry.get('square')(3)).toBe(9);
  expect(registry.names()).toEqual(['double', 'square']);
  expect([registry.has('square'), registry.has('cube'), registry.has('constructor')]).toEqual([true, false, false]);
});

test('an unknown name is refused with the names there are', () => {
  const registry = createRegistry<typeof double>('rule');
  const hint = (name: string) => {
    try {
      registry.get(name);
    } catch (error) {
      return error;
    }
  };
  expect(hint('double')).toMatchObject({ name: 'HeedError', hint: 'register one first' });
  registry.register('double', double);
  registry.register('square', square);
  expect(hint('toString')).toMatchObject({
    message: 'unknown rule "toString"',
    hint: 'choose one of double, square',
  });
});

test('a name is registered once, and is a word', () => {
  const registry = createRegistry('rule', { double });
  expect(() => registry.register('double', square)).toThrow('rule "double" is already registered');
  expect(registry.get('double')).toBe(double);
  for (const name of ['', ' ', 'two words', 3 as unknown as string]) {
    expect(() => registry.register(name, square)).toThrow('is not a valid rule name');
  }
  expect(registry.names()).toEqual(['double']);
});
