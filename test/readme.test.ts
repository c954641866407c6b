import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, it } from 'vitest';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/```[jt]s\n(.*?)```/gs)].map(([, code]) => code);

it.each(examples.map((code, i) => [i + 1, code] as const))(
  'example %i of the README runs as written, and learns what it prints',
  async (i, code) => {
    // inside the package its own name leads to its exports
    const path = join(inject('compiled'), `example-${i}.mjs`);
    const cwd = mkdtempSync(join(tmpdir(), 'heed-readme-'));
    writeFileSync(path, code);
    const { stdout } = await promisify(execFile)(process.execPath, [path], {
      cwd,
      env: { ...process.env, HEED_THREADS: '1' },
    });
    rmSync(path);
    rmSync(cwd, { recursive: true });
    // returns rise, losses fall; the store of judgments prints nothing before people judge
    const printed = [...stdout.matchAll(/(return|loss) (-?[\d.]+)/g)];
    const scores = printed.map(([, what, value]) => (what === 'return' ? Number(value) : -Number(value)));
    expect(scores.length >= 5).toBe(/return|loss/.test(code));
    if (scores.length > 0) expect(scores.at(-1)).toBeGreaterThan(scores[0]);
  },
);

const root = new URL('../', import.meta.url);
const docs = readdirSync(new URL('docs/', root), { recursive: true, encoding: 'utf8' });
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'examples/README.md',
  ...docs.map((file) => `docs/${file.replaceAll('\\', '/')}`),
];

it.each(pages.filter((page) => page.endsWith('.md')))('%s links only to files and headings that are here', (page) => {
  const here = new URL(page, root);
  for (const [, target] of readFileSync(here, 'utf8').matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
    const there = new URL(target, here);
    expect(existsSync(there), target).toBe(true);
    if (there.hash) expect(anchorsOf(readFileSync(there, 'utf8')), target).toContain(there.hash.slice(1));
  }
});

/** The fragments that GitHub gives a page's headings. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
