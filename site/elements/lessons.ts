/** The course's files as a page loads them: text for the editor and the checks, modules for the figures. */

/** A lesson; each of its files is fetched when it is asked for. */
export interface Lesson {
  /** The lesson's folder, such as 01-bradley-terry. */
  name: string;
  /** The text of a file, such as exercise.ts; undefined where the lesson has none of that name. */
  read(file: string): Promise<string | undefined>;
  /** Names of files that the exercise may import, such as parts.ts. */
  parts: string[];
  /** The texts of the files that the exercise and its checks import, and the checks: parts.ts, check.ts. */
  readChecks(): Promise<Record<string, string>>;
  /** Loads the module that draws the lesson's figure, where it has one. */
  figure?(): Promise<{ draw(root: HTMLElement): void }>;
}

const texts = import.meta.glob<string>(
  ['../../course/lessons/*/*.ts', '../../course/lessons/*/hints.md', '!../../course/lessons/*/figure.ts'],
  { query: '?raw', import: 'default' },
);
const figures = import.meta.glob<{ draw(root: HTMLElement): void }>('../../course/lessons/*/figure.ts');

/** Files that the checks never import. */
const apart = new Set(['exercise.ts', 'solution.ts', 'hints.md']);

function lessonOf(folder: string): Lesson {
  const inside = (path: string) => path.startsWith(`${folder}/`);
  const nameOf = (path: string) => path.slice(folder.length + 1);
  const names = Object.keys(texts)
    .filter(inside)
    .map(nameOf)
    .filter((name) => !apart.has(name));
  return {
    name: folder.slice(folder.lastIndexOf('/') + 1),
    read: async (file) => texts[`${folder}/${file}`]?.(),
    parts: names.filter((name) => name !== 'check.ts'),
    async readChecks() {
      return Object.fromEntries(
        await Promise.all(names.map(async (name) => [name, await texts[`${folder}/${name}`]()])),
      );
    },
    figure: figures[`${folder}/figure.ts`],
  };
}

/** The lessons by their folders' names. */
export const LESSONS: Record<string, Lesson> = Object.fromEntries(
  Object.keys(texts)
    .filter((path) => path.endsWith('/exercise.ts'))
    .map((path) => lessonOf(path.slice(0, path.lastIndexOf('/'))))
    .map((lesson) => [lesson.name, lesson]),
);
