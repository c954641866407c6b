/** The lessons of the course, as they lie in the package. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HeedError } from '../error.ts';

/** A lesson and the texts of its files. */
export interface Lesson {
  /** From 1. */
  number: number;
  /** Its folder's name, such as `01-bradley-terry`. */
  name: string;
  /** The heading of lesson.md. */
  title: string;
  /** The texts of the files by name, without the figure and the wrong answers. */
  files: Readonly<Record<string, string>>;
}

const folder = fileURLToPath(new URL('../../course/lessons', import.meta.url));

/** All lessons in order. @throws HeedError if the package lacks them. */
export function readLessons(): Lesson[] {
  if (!existsSync(folder))
    throw new HeedError('the lessons are not where heed is installed', { hint: 'install heed again' });
  const names = readdirSync(folder).filter((name) => /^\d\d-/.test(name));
  return names.sort().map((name) => {
    const entries = readdirSync(join(folder, name)).filter((file) => /\.(ts|md)$/.test(file) && file !== 'figure.ts');
    const files = Object.fromEntries(entries.map((file) => [file, readFileSync(join(folder, name, file), 'utf8')]));
    const title = files['lesson.md'].match(/^# (.*)$/m)?.[1] ?? name;
    return { number: Number.parseInt(name, 10), name, title, files };
  });
}

/** The files that a lesson gives to the exercise and its checks. */
export const givenFiles = ({ files }: Lesson): Record<string, string> =>
  Object.fromEntries(Object.entries(files).filter(([name]) => name.endsWith('.ts') && !exerciseFiles.has(name)));
const exerciseFiles = new Set(['exercise.ts', 'solution.ts', 'check.ts']);

/** The hints of a lesson in order, from its hints.md. */
export const hintsOf = ({ files }: Lesson): string[] =>
  files['hints.md']
    .split(/^## \d+\s*$/m)
    .slice(1)
    .map((hint) => hint.trim());
