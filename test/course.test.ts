/** The course: each exercise can be failed and solved, typical wrong answers get the message meant for them. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, inject, it } from 'vitest';
import { givenFiles, hintsOf, type Lesson, readLessons } from '../src/course/lessons.ts';
import { importedModules } from '../src/course/load.ts';
import { loadModules } from '../src/course/modules.ts';
import { type CheckResult, runChecks } from '../src/course/run-checks.ts';
import { call, heed, ownFolder } from './support/heed.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const lessons = readLessons();

/** The failure of an exercise, as people read it; undefined if it passes. */
async function failureOf(lesson: Lesson, exercise: string): Promise<CheckResult | undefined> {
  const { 'check.ts': check, 'solution.ts': solution } = lesson.files;
  const files = { ...givenFiles(lesson), 'check.ts': check, '../solution.ts': solution }; // wrong answers begin with it
  const modules = await loadModules(importedModules({ ...files, exercise }));
  const results = await runChecks({ exercise, files, modules });
  return results.find(({ ok }) => !ok);
}

describe.each(lessons)('lesson $number: $title', (lesson) => {
  it('begins unsolved, and its solution passes', async () => {
    expect(await failureOf(lesson, lesson.files['exercise.ts'])).toMatchObject({ message: /./ });
    expect(await failureOf(lesson, lesson.files['solution.ts'])).toBeUndefined();
  });

  const wrong = join(root, 'course', 'lessons', lesson.name, 'wrong');
  it.each(readdirSync(wrong))('tells %s what is wrong', async (name) => {
    const text = readFileSync(join(wrong, name), 'utf8');
    const [, message] = text.match(/^\/\/ says: (.*)$/m)!;
    expect((await failureOf(lesson, text))?.message).toContain(message);
  });

  it('has three hints, a figure, three wrong answers, and links that lead somewhere', () => {
    const folder = join(root, 'course', 'lessons', lesson.name);
    expect(hintsOf(lesson)).toHaveLength(3);
    expect(readdirSync(wrong)).toHaveLength(3);
    expect(lesson.files['lesson.md']).toContain(`<heed-figure name="${lesson.name.slice(3)}"></heed-figure>`);
    expect(existsSync(join(folder, 'figure.ts'))).toBe(true);
    for (const [, link] of lesson.files['lesson.md'].matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      expect(existsSync(join(folder, link)), link).toBe(true);
    }
  });
});

it('has ten lessons', () => expect(lessons.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));

describe('what is wrong with an exercise is said in a sentence, with its line', () => {
  const [first] = lessons;
  it.each([
    ['export const probability = ;', { line: 1, message: /does not compile: Unexpected token/ }],
    ['const a = 1;\nconst a = 2;', { line: 2, message: /does not compile: .*already been declared/ }],
    ['export function probability() {\n  await 1;\n}', { line: 2, message: /does not compile/ }],
    ['const x = 1;\nnull.length;', { line: 2, message: /^The file throws/ }],
    ['import "./other.ts";', { line: 1, message: /imports ".\/other.ts", which does not exist/ }],
    ['', { message: 'The exercise does not export "probability".' }],
    ['export const probability = 1;', { line: 1, message: /./ }],
    [
      'export const a = 1;\nexport const probability = () => NaN;',
      { line: 2, message: /^probability\(0, 0\) gives NaN/ },
    ],
    ['export const probability = () => {};', { line: 1, message: /^probability\(0, 0\) gives undefined/ }],
    ['export const probability = () => "½";', { line: 1, message: /^probability\(0, 0\) gives "½"/ }],
    [
      'export function probability() {\n  throw new Error("no");\n}',
      { line: 2, message: 'probability(0, 0) throws "no".' },
    ],
    ['export function probability() {\n  return probability();\n}', { line: 2, message: /Maximum call stack/ }],
  ])('%j', async (text, { message, line }: { message: string | RegExp; line?: number }) => {
    const failure = await failureOf(first, text);
    expect(failure?.message).toMatch(message);
    expect(failure?.line).toBe(line);
  });
});

it('lesson 5 learns on the engine of a page, too', { tags: 'proof' }, async () => {
  const lesson = lessons[4];
  const { 'check.ts': check, 'solution.ts': exercise } = lesson.files;
  const program = `
    import { startEngine } from './dist/browser/index.js';
    import * as engine from './dist/engine/index.js';
    import * as env from './dist/env/index.js';
    import * as nn from './dist/nn/index.js';
    import { runChecks } from './dist/course/run-checks.js';
    await startEngine();
    const modules = { 'heed/engine': engine, 'heed/env': env, 'heed/nn': nn };
    const input = ${JSON.stringify({ exercise, files: { ...givenFiles(lesson), 'check.ts': check } })};
    console.log(JSON.stringify(await runChecks({ ...input, modules })));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: inject('compiled'),
  });
  expect((JSON.parse(stdout) as CheckResult[]).filter(({ ok }) => !ok)).toEqual([]);
});

describe('heed course', () => {
  const folder = ownFolder();
  const learner = () => join(folder.path, 'rlhf');
  const write = (lesson: Lesson, text: string) => writeFileSync(join(learner(), lesson.name, 'exercise.ts'), text);

  it('starts in an empty folder only', async () => {
    const { code, stdout } = await call(['course', 'start', 'rlhf'], folder.path);
    expect(code).toBe(0);
    expect(stdout).toContain('heed course check 1');
    const again = await call(['course', 'start', 'rlhf'], folder.path);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('not empty');
    expect(readFileSync(join(learner(), 'README.md'), 'utf8')).toContain(lessons[9].title);
    expect(readFileSync(join(learner(), lessons[0].name, 'lesson.md'), 'utf8')).not.toMatch(/heed-figure|\]\(\.\./);
  });

  it('checks one exercise, says what is wrong and where, and keeps what is done', async () => {
    const failed = await call(['course', 'check', '1'], learner());
    expect(failed.code).toBe(1);
    expect(failed.stdout).toMatch(/✗ .*\n.*still to be written.*\n.*01-bradley-terry\/exercise\.ts:\d+/);
    write(lessons[0], lessons[0].files['solution.ts']);
    const passed = await call(['course', 'check', '1', '--json'], learner());
    expect(passed.code).toBe(0);
    expect(JSON.parse(passed.stdout)).toMatchObject({ ok: true, lessons: [{ lesson: '01-bradley-terry', ok: true }] });
    const { stdout } = await call(['course'], learner());
    expect(stdout).toMatch(/✓ +1 /);
    expect(stdout).toContain('heed course check 2');
  });

  it('gives stronger and stronger hints, and the solution only when it is asked for twice', async () => {
    const [weak, ...others] = hintsOf(lessons[1]);
    expect((await call(['course', 'hint', '2'], learner())).stdout).toContain(weak);
    expect((await call(['course', 'hint', '2'], learner())).stdout).toContain(others[0]);
    expect((await call(['course', 'hint', '2', '--strength', '3'], learner())).stdout).toContain(others[1]);
    const refused = await call(['course', 'solution', '2'], learner());
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('try to get stuck first');
    expect((await call(['course', 'solution', '2', '--show'], learner())).stdout).toContain('export function');
  });

  it('stops a loop that never ends', async () => {
    write(lessons[0], 'export function probability() {\n  for (;;);\n}\n');
    const { code, stdout } = await call(['course', 'check', '1', '--json'], learner());
    expect(code).toBe(1);
    expect(JSON.parse(stdout).lessons[0].checks.at(-1).message).toContain('did not end within 5 s');
  });

  it('says so when an exercise never answers, or takes all memory', async () => {
    write(lessons[0], 'export const probability = () => process.exit();');
    const left = await call(['course', 'check', '1'], learner());
    expect(left.stdout).toContain('in the middle of a check');
    write(
      lessons[0],
      'export function probability() {\n  const all: number[][] = [];\n  for (;;) all.push(Array(1e7).fill(1));\n}',
    );
    const full = await call(['course', 'check', '1'], learner());
    expect(full.stdout).toMatch(/more than \d+ MiB of memory/);
  });

  it('says what to do in the wrong folder or for a wrong lesson', async () => {
    mkdirSync(join(folder.path, 'elsewhere'));
    const elsewhere = await call(['course', 'check'], join(folder.path, 'elsewhere'));
    expect(elsewhere).toMatchObject({ code: 1, stderr: /./ });
    expect(elsewhere.stderr).toContain('heed course start');
    expect((await call(['course', 'check', '11'], learner())).code).toBe(2);
    expect((await call(['course', 'chek'], learner())).stderr).toContain('no verb "chek"');
    writeFileSync(join(folder.path, 'file'), '');
    expect(await call(['course', 'start', 'file'], folder.path)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('"file"'),
    });
    expect((await call(['course'], join(folder.path, 'elsewhere'))).stdout).toContain('heed course start');
  });

  it('runs the minimal program', async () => {
    const { code, stdout, stderr } = await heed(['course', 'minimal', '--steps', '1024', '--labels', '8'], folder.path);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/step 1024 {2}labels \d+ {2}true return [\d.]+/);
  });
});
