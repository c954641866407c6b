import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { lineOf } from '../site/.vitepress/pages.ts';
import { runProgram } from './support/example.ts';
import { blocks } from './support/programs.ts';

const programs = blocks.filter(({ place }) => place.startsWith('README.md'));

it.each(programs.map((program, i) => [i + 1, program] as const))(
  'example %i of the README runs as written, and learns what it prints',
  async (i, program) => {
    const printed = await runProgram(program, i);
    // returns rise, losses fall; the store of judgments prints nothing before people judge
    const numbers = [...printed.matchAll(/(return|loss) (-?[\d.]+)/g)];
    const scores = numbers.map(([, what, value]) => (what === 'return' ? Number(value) : -Number(value)));
    expect(scores.length >= 5).toBe(/return|loss/.test(program.code));
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

it.each(pages.filter((page) => page.endsWith('.md')))(
  '%s links only to files, headings and names that are here',
  (page) => {
    const here = new URL(page, root);
    for (const [, target] of readFileSync(here, 'utf8').matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const there = new URL(target, here);
      expect(existsSync(there), target).toBe(true);
      const [name, file] = [there.hash.slice(1), there.pathname.slice(root.pathname.length)];
      if (name && file.startsWith('src/')) expect(lineOf(file, name)).toBeGreaterThan(0);
      else if (name) expect(anchorsOf(readFileSync(there, 'utf8')), target).toContain(name);
    }
  },
);

/** The fragments that GitHub gives a page's headings. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
