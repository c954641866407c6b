/** Which Markdown files of the repository are pages, where each stands on the site, and how links between them turn. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tex } from '@mdit/plugin-tex';
import katex from 'katex';
import type { DefaultTheme, MarkdownRenderer } from 'vitepress';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Address that a path of the source is appended to, with a slash at its end. Empty: paths are shown, not linked. */
const SOURCE = '';

/** The heading of a lesson that its exercise stands before. */
const AFTER_EXERCISE = 'See it in heed';

/** Globs of Markdown files that are no pages. */
export const excluded = [
  '{bench,coverage,dist-api,models,runs,scripts,src,test}/**',
  'README.md',
  'course/lessons/*/hints.md',
  'examples/*/**',
];

/** Where a file of the repository stands on the site: `docs/dpo/README.md` is `dpo/index.md`. */
export function pageOf(file: string): string {
  const lesson = /^course\/lessons\/([^/]+)\/lesson\.md$/.exec(file);
  if (lesson) return `course/${lesson[1]}.md`;
  if (file === 'docs/README.md') return 'docs.md';
  return file
    .replace(/^(docs|site)\//, '')
    .replace(/README\.md$/, 'index.md')
    .replace(/^(CONTRIBUTING|CHANGELOG)\.md$/, (name) => name.toLowerCase());
}

const isPage = (file: string): boolean =>
  /^(docs\/.*|site\/(course\/)?index|course\/notebook|course\/lessons\/[^/]+\/lesson|examples\/README|CONTRIBUTING|CHANGELOG)\.md$/.test(
    file,
  );

/** GitHub's name of a heading's anchor, so that one link works there and here. */
export const slug = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-');

interface Token {
  type: string;
  content: string;
  children: Token[] | null;
  attrGet(name: string): string | null;
  attrSet(name: string, value: string): void;
}

/** Shows `{{ braces }}` in code as they are: elsewhere in a page Vue replaces them by a value. */
export function keepBraces({ renderer }: MarkdownRenderer): void {
  const inline = renderer.rules.code_inline!;
  renderer.rules.code_inline = (...input) => inline(...input).replace('<code', '<code v-pre');
}

/**
 * Draws formulas, `$…$` and `$$…$$`, while the site is built: pages bring KaTeX's fonts and no script. MathML says them to
 * screen readers. A wrong formula ends the build.
 */
export function drawFormulas(markdown: MarkdownRenderer): void {
  const draw = tex as unknown as (markdown: MarkdownRenderer, options: Parameters<typeof tex>[1]) => void; // its own markdown-it
  draw(markdown, {
    render(source: string, displayMode: boolean) {
      const html = katex.renderToString(source, { displayMode, throwOnError: true, strict: 'error' });
      // Vue leaves it alone: braces of a formula are no values
      const raw = html.replace('<span', '<span v-pre');
      return displayMode ? `<p class="formula" tabindex="0">${raw}</p>\n` : raw;
    },
  });
}

const highlighted = new Map<string, string>();

/** Colors each block of code once: a build renders every page four times, twice for itself and twice for the search. */
export function highlightOnce(markdown: MarkdownRenderer): void {
  const highlight = markdown.options.highlight!;
  markdown.options.highlight = (code, language, attributes) => {
    const key = JSON.stringify([code, language, attributes]);
    const known = highlighted.get(key) ?? highlight(code, language, attributes);
    highlighted.set(key, known);
    return known;
  };
}

/**
 * Turns relative links between files of the repository into links between pages. A link to any other file leads to its
 * source, or shows its path.
 */
export function turnLinks(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push('heed-links', (state) => {
    const env = state.env as { path?: string; realPath?: string };
    if (env.path === undefined) return; // a title by itself
    const file = posix.relative(root.replaceAll('\\', '/').replace(/\/$/, ''), env.realPath ?? env.path);
    for (const { children } of state.tokens as Token[]) {
      let open: { token: Token; path: string; text: string } | undefined; // a link that becomes a path
      for (const token of children ?? []) {
        if (token.type === 'link_open') {
          const turned = turn(token.attrGet('href') ?? '', file);
          if (typeof turned === 'string') token.attrSet('href', turned);
          else open = { token, path: turned.path, text: '' };
        } else if (token.type === 'link_close' && open) {
          // either the text is the path, or the path follows it
          const [before, after] = open.text.endsWith(basename(open.path))
            ? ['<code>', '</code>']
            : ['', ` (<code>${open.path}</code>)`];
          Object.assign(open.token, { type: 'html_inline', content: before });
          Object.assign(token, { type: 'html_inline', content: after });
          open = undefined;
        } else if (open) open.text += token.content;
      }
    }
    const lesson = /^course\/lessons\/([^/]+)\/lesson\.md$/.exec(file)?.[1];
    if (!lesson) return;
    const exercise = new state.Token('html_block', '', 0);
    exercise.content = `<heed-exercise lesson="${lesson}"></heed-exercise>\n`;
    const next = state.tokens.findIndex((token) => token.content === AFTER_EXERCISE) - 1; // its heading_open
    state.tokens.splice(next < 0 ? state.tokens.length : next, 0, exercise);
  });
}

/**
 * The address of a link of a file, or the path to show instead. A link to a name of a source file, such as
 * src/rl/ppo.ts#createPpo, leads to its line.
 *
 * @throws Error when it leads to no file.
 */
export function turn(href: string, file: string): string | { path: string } {
  if (/^([a-z]+:|#|\/|$)/i.test(href)) return href;
  const [address, hash] = href.split('#');
  let target = posix.join(posix.dirname(file), decodeURI(address)).replace(/\/$/, '');
  if (!existsSync(join(root, target))) throw new Error(`${file} links to ${href}, but there is no file ${target}.`);
  if (statSync(join(root, target)).isDirectory() && existsSync(join(root, target, 'README.md'))) target += '/README.md';
  if (isPage(target)) return `/${pageOf(target)}${hash ? `#${hash}` : ''}`;
  const line = hash && target.startsWith('src/') ? lineOf(target, hash) : undefined;
  const place = line === undefined ? hash : `L${line}`;
  if (SOURCE) return `${SOURCE}${target}${place ? `#${place}` : ''}`;
  return { path: line === undefined ? target : `${target}:${line}` };
}

/** The line on which a file of the source declares a name, from 1. @throws Error when it declares no such name. */
export function lineOf(file: string, name: string): number {
  const declaration = new RegExp(`^(export )?(async )?(const|function\\*?|class|interface|type) ${name}\\b`);
  const found = readFileSync(join(root, file), 'utf8')
    .split('\n')
    .findIndex((line) => declaration.test(line));
  if (found < 0) throw new Error(`a page links to ${name} of ${file}, which declares no such name.`);
  return found + 1;
}

/** The heading of a page. */
const titleOf = (file: string): string => /^# (.*)$/m.exec(readFileSync(join(root, file), 'utf8'))?.[1] ?? file;

/** The pages that the README of a folder links to, in its order and under its headings; then the folder's others. */
export function sidebarOf(folder: string, title: string): DefaultTheme.SidebarItem[] {
  const readme = join(root, folder, 'README.md');
  const groups: Required<Pick<DefaultTheme.SidebarItem, 'text' | 'items'>>[] = [
    { text: title, items: [{ text: 'Overview', link: `/${pageOf(`${folder}/README.md`)}` }] },
  ];
  const listed = new Set<string>();
  for (const line of readFileSync(readme, 'utf8').split('\n')) {
    if (line.startsWith('## ')) groups.push({ text: line.slice(3), items: [] });
    for (const [, text, link] of line.matchAll(/\[([^\]]+)\]\(([^)#:]+\.md)\)/g)) {
      const file = posix.join(folder, link);
      if (listed.has(file) || dirname(file) !== folder) continue;
      listed.add(file);
      groups.at(-1)!.items.push({ text, link: `/${pageOf(file)}` });
    }
  }
  for (const name of readdirSync(join(root, folder)).sort()) {
    const file = posix.join(folder, name);
    if (!name.endsWith('.md') || name === 'README.md' || listed.has(file)) continue;
    groups.at(-1)!.items.push({ text: titleOf(file).replace(/^Lab notes: /, ''), link: `/${pageOf(file)}` });
  }
  return groups.filter(({ items }) => items.length > 0);
}

/** A lesson of the course: its folder's name, such as 01-bradley-terry, and the title of its page. */
export interface Lesson {
  name: string;
  /** From 1. */
  number: number;
  title: string;
  link: string;
}

/** The lessons of the course in order; none where the course is not there. */
export function lessons(): Lesson[] {
  const folder = join(root, 'course', 'lessons');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'lesson.md')))
    .sort()
    .map((name) => ({
      name,
      number: Number.parseInt(name, 10),
      title: titleOf(`course/lessons/${name}/lesson.md`),
      link: `/course/${name}`,
    }));
}
