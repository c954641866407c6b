/** The learner's folder of the course: the exercises, and what is done. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { givenFiles, type Lesson } from '../../course/lessons.ts';
import { HeedError } from '../../error.ts';
import { fileError, onDisk } from '../../files.ts';

/** What the learner has done so far, in progress.json. */
export interface CourseProgress {
  /** The lessons whose checks passed when they ran last. */
  done: string[];
  /** How many hints of each lesson were shown. */
  hints: Record<string, number>;
}

const PROGRESS = 'progress.json';

/** Writes the course into a folder that does not exist or is empty. @throws HeedError if something is there. */
export function writeFolder(folder: string, lessons: readonly Lesson[]): void {
  if (!isEmpty(folder)) {
    throw new HeedError(`"${folder}" is not empty`, {
      hint: existsSync(join(folder, PROGRESS))
        ? `The course is there already: cd ${folder} and run heed course check.`
        : 'Name a folder that does not exist yet: nothing is ever overwritten.',
    });
  }
  const files: Record<string, string> = {
    'README.md': readme(lessons),
    'tsconfig.json': `${JSON.stringify(tsconfig, null, 2)}\n`,
    [PROGRESS]: `${JSON.stringify({ done: [], hints: {} } satisfies CourseProgress)}\n`,
  };
  for (const lesson of lessons) {
    files[`${lesson.name}/lesson.md`] = outsideOfHeed(lesson.files['lesson.md']);
    files[`${lesson.name}/exercise.ts`] = lesson.files['exercise.ts'];
    for (const [name, text] of Object.entries(givenFiles(lesson))) files[`${lesson.name}/${name}`] = text;
  }
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    onDisk('write', path, () => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text, { flag: 'wx' });
    });
  }
}

/** Whether nothing is in a folder, or it does not exist. */
const isEmpty = (folder: string): boolean =>
  onDisk('write into', folder, () => !existsSync(folder) || readdirSync(folder).length === 0);

/** The progress in this folder; undefined if the course was not started here. @throws HeedError if it is damaged. */
export function readProgress(folder: string): CourseProgress | undefined {
  const path = join(folder, PROGRESS);
  if (!existsSync(path)) return undefined;
  try {
    const { done, hints } = JSON.parse(readFileSync(path, 'utf8')) as CourseProgress;
    if (Array.isArray(done) && typeof hints === 'object') return { done, hints };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw fileError(error, 'read', path);
  }
  throw new HeedError(`"${path}" is damaged`, {
    hint: `Write {"done":[],"hints":{}} into it, or delete it and start again.`,
  });
}

/** Keeps the progress. */
export function writeProgress(folder: string, progress: CourseProgress): void {
  const path = join(folder, PROGRESS);
  onDisk('write', path, () => writeFileSync(path, `${JSON.stringify(progress)}\n`));
}

/** The text of the learner's exercise. @throws HeedError if it is gone. */
export function readExercise(folder: string, lesson: Lesson): string {
  const path = join(folder, lesson.name, 'exercise.ts');
  if (!existsSync(path)) {
    throw new HeedError(`there is no "${path}"`, {
      hint: 'heed course start writes the exercises into a new folder: copy it from there.',
    });
  }
  return readFileSync(path, 'utf8');
}

/** The text of a lesson without the figure, and with links into heed as plain paths. */
const outsideOfHeed = (text: string): string =>
  text
    .replace(/^<heed-figure .*\n\n?/gm, '')
    .replace(/\[([^\]]+)\]\((?:\.\.\/)+([^)]+)\)/g, (_, words, path) =>
      words === path ? words : `${words} (${path})`,
    );

const tsconfig = {
  compilerOptions: {
    target: 'ES2023',
    module: 'ESNext',
    moduleResolution: 'Bundler',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    types: [],
  },
};

const readme = (lessons: readonly Lesson[]) => `# Learning from human feedback, written by you

Ten lessons, from one preference to a policy that learns from many. In each folder, read lesson.md, then write what
exercise.ts asks for.

\`\`\`sh
npx heed course check 1               # says what is wrong, without giving it away
npx heed course hint 1                # one hint; again, a stronger one
npx heed course solution 1 --show     # try to get stuck first
npx heed course                       # what is done
\`\`\`

${lessons.map(({ number, name, title }) => `${number}. [${title}](${name}/lesson.md)`).join('\n')}

The files beside an exercise are for reading: checks use heed's own copies of them. They import heed, which your editor
finds once heed is installed in this folder (docs/how-to/install.md).
`;
