/** The example of an algorithm of one's own: it learns as its page says, and the page shows it as it is. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { numbers, runExample } from './support/example.ts';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const source = read('examples/own-algorithm.ts');

it('learns CartPole from whichever seed', async () => {
  for (const seed of ['1', '2']) {
    const returns = numbers(await runExample('own-algorithm.ts', { lines: 72, args: [seed] }), /return ([\d.]+)/g);
    expect(returns).toHaveLength(40);
    expect(returns[0]).toBeLessThan(50);
    expect(returns.slice(-5).reduce((a, b) => a + b, 0) / 5).toBeGreaterThan(195);
  }
});

it('is on its page as it is, and short', () => {
  const [, shown] = read('docs/how-to/write-your-own-algorithm.md').match(/```ts\n(.*?)```/s)!;
  expect(shown).toBe(source);
  expect(source.split('\n').filter((line) => !/^\s*(\/\/|\/?\*|$)/.test(line)).length).toBeLessThan(65);
});
