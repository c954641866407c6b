/** The page of the notebook: course/notebook.md, and below each cell what course/notebook.ipynb keeps of its run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MarkdownRenderer } from 'vitepress';
import { root } from './pages.ts';

const SOURCE = 'course/notebook';

/** What a cell showed. */
interface Output {
  /** What it printed. */
  text?: string[];
  /** A picture, and what it shows in words. */
  data?: { 'image/svg+xml': string[]; 'text/plain': string[] };
}

/** Puts the outputs of the notebook's cells below them. */
export function showOutputs(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push('heed-notebook', (state) => {
    const { path = '', realPath = path } = state.env as { path?: string; realPath?: string };
    if (realPath.replaceAll('\\', '/') !== join(root, `${SOURCE}.md`).replaceAll('\\', '/')) return;
    const { cells } = JSON.parse(readFileSync(join(root, `${SOURCE}.ipynb`), 'utf8')) as {
      cells: { outputs?: Output[] }[];
    };
    const outputs = cells.flatMap((cell) => (cell.outputs ? [cell.outputs] : []));
    state.tokens = state.tokens.flatMap((token) => {
      if (token.type !== 'fence' || token.info !== 'ts') return [token];
      const shown = outputs.shift() ?? [];
      return [
        token,
        ...shown.map(({ text, data }) => {
          const output = new state.Token(text ? 'fence' : 'html_block', text ? 'code' : '', 0);
          output.info = 'text';
          output.content = text?.join('') ?? pictureOf(data!);
          return output;
        }),
      ];
    });
  });
}

/** A picture by itself: its colors are its own. */
function pictureOf({ 'image/svg+xml': svg, 'text/plain': label }: NonNullable<Output['data']>): string {
  const address = `data:image/svg+xml;base64,${Buffer.from(svg.join('')).toString('base64')}`;
  return `<p><img src="${address}" alt="${label.join('').replaceAll('"', '&quot;')}"></p>\n`;
}
