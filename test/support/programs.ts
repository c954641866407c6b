/** Programs that users see, in examples/ and in Markdown, as they are and without their types. */
import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';

const root = new URL('../../', import.meta.url);

export interface Program {
  /** Where it stands, such as docs/reference/dpo.md:19. */
  place: string;
  language: 'js' | 'ts';
  code: string;
  /** Whether it is a whole program that needs nothing of the reader's: its block begins with ```js run or ```ts run. */
  runs: boolean;
}

/** Markdown pages that show programs. */
const pages = ['README.md', 'site/index.md', ...under('docs').filter((path) => path.endsWith('.md'))];

function under(folder: string): string[] {
  const files = readdirSync(new URL(`${folder}/`, root), { recursive: true, encoding: 'utf8' });
  return files.map((file) => `${folder}/${file.replaceAll('\\', '/')}`).sort();
}

/** The JavaScript and TypeScript of a page; what stands in a list is indented. */
function blocksOf(page: string): Program[] {
  const text = readFileSync(new URL(page, root), 'utf8');
  return [...text.matchAll(/^( *)```(js|ts)\b(.*)\n((?:.*\n)*?) *```/gm)].map((match) => {
    const [, indent, language, info, code] = match;
    return {
      place: `${page}:${text.slice(0, match.index).split('\n').length}`,
      language: language as Program['language'],
      code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
      runs: info.trim() === 'run',
    };
  });
}

/** All blocks of all pages, in order. */
export const blocks: readonly Program[] = pages.flatMap(blocksOf);

/** All programs of examples/, in order. */
export const examples: readonly Program[] = under('examples')
  .filter((path) => /\.[jt]s$/.test(path))
  .map((path) => ({
    place: path,
    language: path.slice(-2) as Program['language'],
    code: readFileSync(new URL(path, root), 'utf8'),
    runs: false,
  }));

/** A program without its types, for a Node that knows none. All else stays: syntax that this Node lacks is an error. */
export function withoutTypes({ language, code }: Pick<Program, 'language' | 'code'>): string {
  if (language === 'js') return code;
  const { ESNext } = ts.ScriptTarget;
  const options = { target: ESNext, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true };
  return ts.transpileModule(code, { compilerOptions: options }).outputText;
}
