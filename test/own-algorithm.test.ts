/** The example of an algorithm of one's own: it learns as its page says, and the page shows it as it is. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { expect, inject, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const source = read('examples/own-algorithm.ts');

it('learns CartPole from whichever seed', async () => {
  // inside the package its own name leads to its exports
  const path = join(inject('compiled'), 'own-algorithm.mjs');
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  });
  writeFileSync(path, outputText);
  for (const seed of ['1', '2']) {
    const { stdout } = await promisify(execFile)(process.execPath, [path, seed]);
    const returns = [...stdout.matchAll(/return ([\d.]+)/g)].map(([, value]) => Number(value));
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
