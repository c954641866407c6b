/** Formulas of the site's pages, drawn while it is built. */
import MarkdownIt from 'markdown-it';
import type { MarkdownRenderer } from 'vitepress';
import { expect, it } from 'vitest';
import { drawFormulas } from '../site/.vitepress/pages.ts';

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
