/** heed course: lessons, exercises, checks, hints and solutions. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { checkExercise } from '../../course/check-exercise.ts';
import { hintsOf, type Lesson, readLessons } from '../../course/lessons.ts';
import { createLoader, importedModules } from '../../course/load.ts';
import { loadModules } from '../../course/modules.ts';
import type { CheckResult } from '../../course/run-checks.ts';
import { HeedError } from '../../error.ts';
import { createOutput, type Output } from '../program/output.ts';
import { UsageError } from '../program/usage.ts';
import { type CourseProgress, readExercise, readProgress, writeFolder, writeProgress } from './folder.ts';

export function addCourse(command: Command): void {
  const lessons = readLessons();
  const lesson = ['lesson', `its number, 1 to ${lessons.length}`] as const;
  const parse = (text: string) => lessonOf(lessons, text);
  command
    .command('list', { isDefault: true })
    .description('list the lessons, and what is done')
    .allowExcessArguments()
    .action((flags: { json?: boolean }, { args: [verb] }: Command) => {
      const verbs = command.commands.map((one) => one.name()).join(', ');
      if (verb !== undefined)
        throw new UsageError(`heed course has no verb "${verb}"`, { hint: `Its verbs are ${verbs}.` });
      list(lessons, createOutput(flags));
    });
  command
    .command('start')
    .description('write the exercises into a new folder')
    .argument('<folder>', 'it must be empty, or not exist')
    .action((folder: string, flags: { json?: boolean }) => {
      writeFolder(folder, lessons);
      const output = createOutput(flags);
      output.say(`${lessons.length} exercises are in ${folder}. Next:`);
      output.say(`  cd ${folder}`);
      output.say(`  read ${lessons[0].name}/lesson.md, and write ${lessons[0].name}/exercise.ts`);
      output.say('  heed course check 1');
      output.result({ folder, lessons: lessons.map(({ name }) => name) });
    });
  command
    .command('check')
    .description('check one exercise, or all')
    .argument('[lesson]', lesson[1], parse)
    .action((one: Lesson | undefined, flags: { json?: boolean }) =>
      check(one ? [one] : lessons, lessons, createOutput(flags)),
    );
  command
    .command('hint')
    .description('show the next hint of a lesson')
    .argument('<lesson>', lesson[1], parse)
    .option('--strength <n>', 'which hint: 1 is the weakest, 3 the strongest', strengthOf)
    .action((one: Lesson, flags: { json?: boolean; strength?: number }) =>
      hint(one, flags.strength, createOutput(flags)),
    );
  command
    .command('solution')
    .description('show the solution of a lesson')
    .argument('<lesson>', lesson[1], parse)
    .option('--show', 'show it')
    .action((one: Lesson, flags: { json?: boolean; show?: boolean }) => {
      const output = createOutput(flags);
      if (!flags.show) {
        throw new HeedError('try to get stuck first', {
          hint: `heed course hint ${one.number} helps; heed course solution ${one.number} --show shows it.`,
        });
      }
      output.say(one.files['solution.ts'].trimEnd());
      output.result({ lesson: one.name, solution: one.files['solution.ts'] });
    });
  command
    .command('minimal')
    .description('run the whole method from one file of 300 lines, examples/train-minimal.ts')
    .option('--env <name>', 'an environment with discrete actions', 'CartPole-v1')
    .option('--steps <n>', 'steps of the environment', positive, ENOUGH)
    .option('--labels <n>', 'comparisons', positive, 40)
    .option('--seed <n>', 'seed', whole, 0)
    .action((flags: Record<'env' | 'steps' | 'labels' | 'seed', string | number>) => minimal(flags));
}

/** Lists the lessons, with what is done in this folder. */
function list(lessons: readonly Lesson[], output: Output): void {
  const progress = readProgress('.');
  for (const { number, name, title } of lessons) {
    output.say(`${progress?.done.includes(name) ? '✓' : ' '} ${String(number).padStart(2)}  ${title}`);
  }
  const next = lessons.find(({ name }) => !progress?.done.includes(name));
  if (!progress) output.say('\nheed course start FOLDER writes the exercises.');
  else if (next) output.say(`\nNext: ${next.name}/exercise.ts, then heed course check ${next.number}.`);
  else output.say('\nAll done.');
  output.result({
    lessons: lessons.map(({ number, name, title }) => ({ number, name, title, done: !!progress?.done.includes(name) })),
  });
}

/** Checks exercises, and keeps what passed. */
async function check(chosen: readonly Lesson[], lessons: readonly Lesson[], output: Output): Promise<void> {
  const progress = started();
  const found: { lesson: string; ok: boolean; checks: CheckResult[] }[] = [];
  for (const lesson of chosen) {
    const checks = await checkExercise(lesson, readExercise('.', lesson));
    const ok = checks.every((one) => one.ok);
    found.push({ lesson: lesson.name, ok, checks });
    output.say(`${ok ? '✓' : '✗'} ${lesson.number}  ${lesson.title}`);
    for (const result of checks) {
      if (chosen.length === 1 || !result.ok) output.say(lineOfResult(lesson, result));
    }
    progress.done = progress.done.filter((name) => name !== lesson.name);
    if (ok) progress.done.push(lesson.name);
    writeProgress('.', progress);
  }
  const failed = found.find(({ ok }) => !ok);
  if (failed) {
    process.exitCode = 1;
    const { number } = chosen.find(({ name }) => name === failed.lesson)!;
    output.say(`\nheed course hint ${number} gives a hint.`);
  } else {
    const next = lessons.find(({ name }) => !progress.done.includes(name));
    output.say(next ? `\nNext: ${next.name}/lesson.md` : '\nAll ten are done.');
  }
  output.result({ ok: !failed, lessons: found });
}

/** A check with what is wrong, and where: `05-the-loop/exercise.ts:12` can be clicked in a terminal. */
function lineOfResult(lesson: Lesson, { name, ok, message, line }: CheckResult): string {
  const place = `${lesson.name}/exercise.ts${line === undefined ? '' : `:${line}`}`;
  return ok ? `    ✓ ${name}` : `    ✗ ${name}\n      ${message}\n      ${place}`;
}

/** Shows a hint and counts it. */
function hint(lesson: Lesson, strength: number | undefined, output: Output): void {
  const hints = hintsOf(lesson);
  const progress = started();
  const shown = strength ?? Math.min((progress.hints[lesson.name] ?? 0) + 1, hints.length);
  progress.hints[lesson.name] = Math.max(progress.hints[lesson.name] ?? 0, shown);
  writeProgress('.', progress);
  output.say(`Hint ${shown} of ${hints.length}\n\n${hints[shown - 1]}`);
  if (shown === hints.length)
    output.say(`\nThat was the last. The solution: heed course solution ${lesson.number} --show`);
  output.result({ lesson: lesson.name, strength: shown, hint: hints[shown - 1] });
}

/** Runs the minimal program as if its own name had been typed. */
async function minimal(flags: Record<'env' | 'steps' | 'labels' | 'seed', string | number>): Promise<void> {
  const file = 'train-minimal.ts';
  const text = readFileSync(fileURLToPath(new URL(`../../../examples/${file}`, import.meta.url)), 'utf8');
  const args = (['env', 'steps', 'labels', 'seed'] as const).flatMap((name) => [`--${name}`, String(flags[name])]);
  process.argv = [process.argv[0], file, ...args]; // where the program looks for its flags
  const files = { [file]: text };
  createLoader({ files, modules: await loadModules(importedModules(files)) })(file);
  if (flags.env === 'CartPole-v1' && Number(flags.steps) < ENOUGH) {
    createOutput({}).say(`\nThe pole stays up after about ${ENOUGH} steps: heed course minimal --steps ${ENOUGH}`);
  }
}

/** Steps after which the minimal program has taught CartPole: 448 to 500 of 500 with the first two seeds. */
const ENOUGH = 30_000;

/** The progress in this folder. @throws HeedError if the course was not started here. */
function started(): CourseProgress {
  const progress = readProgress('.');
  if (progress) return progress;
  throw new HeedError('the course was not started in this folder', {
    hint: 'Run heed course start FOLDER, and this command in that folder.',
  });
}

function lessonOf(lessons: readonly Lesson[], text: string): Lesson {
  const found = lessons.find(({ number, name }) => text === name || Number(text) === number);
  if (!found) throw new InvalidArgumentError(`There is no lesson ${text}: expected 1 to ${lessons.length}.`);
  return found;
}

function strengthOf(text: string): number {
  if (!['1', '2', '3'].includes(text)) throw new InvalidArgumentError('Expected 1, 2 or 3.');
  return Number(text);
}

function whole(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError('Expected a whole number.');
  }
  return value;
}

function positive(text: string): number {
  if (whole(text) === 0) throw new InvalidArgumentError('Expected a whole number above 0.');
  return whole(text);
}
