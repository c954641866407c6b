/** The files of a dataset: a file, several, a folder, or a pattern. */

import { HeedError } from '../error.ts';
import { onDisk } from '../files.ts';
import { basename, dirname, existsSync, join, normalize, readdirSync, resolve, statSync } from '../node.ts';
import { refuseForeign } from './file.ts';

const DATA = /\.(?:jsonl|ndjson|json|csv|tsv)(?:\.gz)?$|\.parquet$/i;
/** Files that common tools put beside the data. */
const ABOUT = new Set(['dataset_info.json', 'dataset_infos.json', 'dataset_dict.json', 'state.json']);

/**
 * The files that paths stand for, each once: a folder's data files at any depth, sorted by name; the matches of a
 * pattern (`*`, `**`, `?`, `{a,b}`); and files as they are. @throws HeedError for a path without any.
 */
export function dataFiles(paths: string | readonly string[]): string[] {
  const found = new Map<string, string>();
  for (const path of typeof paths === 'string' ? [paths] : paths) {
    const files = filesAt(path);
    if (files.length === 0) {
      if (existsSync(path)) refuseForeign(within(path));
      throw new HeedError(`"${path}" contains no data: expected files such as .jsonl, .json, .csv, .tsv, .parquet`, {
        hint: 'Give a data file, a folder of some, or a pattern such as "data/*.jsonl".',
      });
    }
    for (const file of files) found.set(resolve(file), file);
  }
  return [...found.values()];
}

function filesAt(path: string): string[] {
  if (existsSync(path)) return statSync(path).isDirectory() ? within(path).filter(isData) : [path];
  const pattern = normalize(path);
  const special = pattern.search(/[*?{]/);
  if (special < 0) return [path]; // opening it reports what is wrong
  const folder = dirname(`${pattern.slice(0, special)}x`);
  if (!existsSync(folder)) return [];
  const expected = new RegExp(`^${expressionOf(slashed(pattern))}$`);
  return within(folder).filter((file) => expected.test(slashed(file)));
}

const isData = (file: string) => DATA.test(file) && !ABOUT.has(basename(file));

/** Files at any depth except hidden ones, sorted. */
const within = (folder: string): string[] =>
  onDisk('read', folder, () =>
    readdirSync(folder, { withFileTypes: true })
      .filter(({ name }) => !name.startsWith('.'))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => {
        const path = join(folder, entry.name);
        return statSync(path).isDirectory() ? within(path) : [path];
      }),
  );

const MEANINGS: Record<string, string> = { '**/': '(?:.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]' };

/** The regular expression of a pattern. */
function expressionOf(pattern: string): string {
  return pattern.replace(/\*\*\/|\*\*|[*?]|\{[^{}]*\}|[.+^$()|[\]{}\\]/g, (part) => {
    if (part.startsWith('{') && part.length > 1) {
      return `(?:${part.slice(1, -1).split(',').map(expressionOf).join('|')})`;
    }
    return MEANINGS[part] ?? `\\${part}`;
  });
}

/** A path with slashes, whatever separates its folders here. */
const slashed = (path: string) => (process.platform === 'win32' ? path.replaceAll('\\', '/') : path);
