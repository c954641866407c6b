import { expect, it } from 'vitest';
import { shortName } from './own-file.ts';

it.each([
  ['./worlds/shop.ts', 'shop'],
  ['/home/me/shop.mjs', 'shop'],
  ['shop.js', 'shop'],
  ['CartPole-v1', 'CartPole-v1'],
  ['gym:my_module:Maze-v0', 'gym:my_module:Maze-v0'],
])('%s is shown as %s', (name, shown) => expect(shortName(name)).toBe(shown));
