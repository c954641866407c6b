/** Formulas of the site's pages, and links to lines of the source: both are made while it is built. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import MarkdownIt from 'markdown-it';
import type { MarkdownRenderer } from 'vitepress';
import { expect, it } from 'vitest';
import { drawFormulas, root, turn } from '../site/.vitepress/pages.ts';

const markdown = new MarkdownIt();
drawFormulas(markdown as unknown as MarkdownRenderer);
const text = (html: string) => html.match(/<annotation encoding="application\/x-tex">(.*?)<\/annotation>/s)?.[1];

it('leaves double braces to nobody else', () => {
  // vuejs/vitepress#3728: Vue took {{ … }} for a value, and the build ended
  const html = markdown.render(String.raw`$S_n = \frac{{a(1 - r^n)}}{{1 - r}}$`);
  expect(html).toContain('<span v-pre class="katex">');
  expect(text(html)).toBe(String.raw`S_n = \frac{{a(1 - r^n)}}{{1 - r}}`);
});

it('keeps underscores and backslashes of formulas from Markdown', () => {
  // vorojar/md-preview#13: emphasis began in one formula and ended in the next
  const html = markdown.render(String.raw`$\bar{\mu}_{n}$ and $\bar{\mu}_{n}$ and $\{x\}$`);
  expect(html.match(/class="katex"/g)).toHaveLength(3);
  expect(html).not.toContain('<em>');
  expect(html).toContain(String.raw`\{x\}`);
});

it('leaves amounts of money alone', () => {
  expect(markdown.render('It costs $5 to $10.')).not.toContain('katex');
});

it('ends the build at a formula that is none', () => {
  expect(() => markdown.render(String.raw`$$\sqrt$$`)).toThrow(/KaTeX parse error/);
});

it('leads a link to a name of the source to its line', () => {
  const lines = readFileSync(join(root, 'src/rl/ppo.ts'), 'utf8').split('\n');
  const line = 1 + lines.findIndex((each) => each.startsWith('export const createPpo ='));
  expect(turn('../src/rl/ppo.ts#createPpo', 'docs/README.md')).toEqual({ path: `src/rl/ppo.ts:${line}` });
  expect(() => turn('../src/rl/ppo.ts#no', 'docs/README.md')).toThrow('links to no of src/rl/ppo.ts');
  // each such link of the docs has its line
  const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' });
  const links = pages
    .filter((page) => page.endsWith('.md'))
    .flatMap((page) => {
      const text = readFileSync(join(root, 'docs', page), 'utf8');
      return [...text.matchAll(/\]\(([^)]*\/src\/[^)#]*#\w+)\)/g)].map(([, href]) => turn(href, `docs/${page}`));
    });
  expect(links.length).toBeGreaterThan(20);
});
