import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, it } from 'vitest';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/```[jt]s\n(.*?)```/gs)].map(([, code]) => code);

it.each(examples.map((code, i) => [i + 1, code] as const))(
  'example %i of the README runs as written, and learns',
  async (i, code) => {
    // inside the package its own name leads to its exports
    const path = join(inject('compiled'), `example-${i}.mjs`);
    writeFileSync(path, code);
    const { stdout } = await promisify(execFile)(process.execPath, [path], {
      env: { ...process.env, HEED_THREADS: '1' },
    });
    rmSync(path);
    // returns rise, losses fall
    const told = [...stdout.matchAll(/(return|held out) (-?[\d.]+)/g)];
    const better = told.map(([, what, value]) => (what === 'return' ? Number(value) : -Number(value)));
    expect(better.length).toBeGreaterThanOrEqual(5);
    expect(better.at(-1)).toBeGreaterThan(better[0]);
  },
);

it('the README names only files that are here', () => {
  for (const [, target] of readme.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
    expect(() => readFileSync(new URL(`../${target}`, import.meta.url)), target).not.toThrow();
  }
});
