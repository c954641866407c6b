/** The course in a real browser: its figures draw and answer to keys, and checks run as they do in Node. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { build, type Rollup } from 'vite';
import { beforeAll, expect, it } from 'vitest';
import { givenFiles, readLessons } from '../src/course/lessons.ts';
import type { CheckResult } from '../src/course/run-checks.ts';
import { ownFolder } from './support/heed.ts';
import { barriers, looks, ownBrowser } from './support/studio.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const lessons = readLessons();
const folder = ownFolder();
const { browser } = await ownBrowser();
let script: string;

beforeAll(async () => {
  if (!browser) return;
  const entry = join(folder.path, 'course.ts');
  const figures = lessons.map(
    ({ name }) => `import * as f${Number.parseInt(name, 10)} from '${root}course/lessons/${name}/figure.ts';`,
  );
  const code = `${figures.join('\n')}
    export { runChecks } from '${root}src/course/run-checks.ts';
    export const figures = [${lessons.map(({ number }) => `f${number}`)}];`;
  writeFileSync(entry, code);
  const output = (await build({
    root,
    configFile: false,
    logLevel: 'warn',
    build: { write: false, lib: { entry, formats: ['iife'], name: 'course', fileName: 'course' } },
  })) as Rollup.RollupOutput[];
  script = output[0].output[0].code;
});

/** A page with the course's script, whose errors fail the test. */
async function openPage(look: (typeof looks)[number]): Promise<{ page: Page; errors: string[] }> {
  const page = await (await browser!.newContext(look)).newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.setContent(`<!doctype html><html lang="en"><title>Figures</title>
    <style>:root { color-scheme: light dark; font-family: sans-serif } body { margin: 1rem }</style>
    <main></main></html>`);
  await page.addScriptTag({ content: script });
  return { page, errors };
}

it.each(looks)('draws every figure without barriers: $colorScheme', async (look) => {
  const { page, errors } = await openPage({
    ...look,
    viewport: { width: Math.min(look.viewport!.width, 800), height: 900 },
  });
  if (look.colorScheme === 'dark') await page.setViewportSize({ width: 320, height: 900 });
  for (const { number, title } of lessons) {
    await page.evaluate(`{
      const main = document.querySelector('main');
      main.innerHTML = '<h1>Figure</h1><figure style="margin: 0"></figure>';
      course.figures[${number - 1}].draw(main.querySelector('figure'));
    }`);
    expect(await barriers(page), title).toEqual([]);
    if (process.env.SHOTS)
      await page.screenshot({ path: join(process.env.SHOTS, `${number}-${look.colorScheme}.png`), fullPage: true });
    const before = await page.locator('[aria-live]').textContent();
    const [button] = await page.getByRole('button').all();
    await (button ?? page.getByRole('slider').first()).focus();
    await page.keyboard.press(button ? 'Enter' : 'PageUp');
    expect(await page.locator('[aria-live]').textContent(), `${title}: what it says after a key`).not.toBe(before);
  }
  expect(errors).toEqual([]);
});

it('runs the checks of each lesson that needs no engine', async () => {
  const { page } = await openPage(looks[0]);
  const failureOf = async (lesson: (typeof lessons)[number], exercise: string) => {
    const files = { ...givenFiles(lesson), 'check.ts': lesson.files['check.ts'] };
    const input = JSON.stringify({ exercise, files });
    const results = (await page.evaluate(`course.runChecks(${input})`)) as CheckResult[];
    return results.find(({ ok }) => !ok);
  };
  for (const lesson of lessons.filter(({ files }) => !files['parts.ts'])) {
    expect(await failureOf(lesson, lesson.files['solution.ts']), lesson.title).toBeUndefined();
    const failure = await failureOf(lesson, lesson.files['exercise.ts']);
    expect(failure, lesson.title).toMatchObject({ message: 'This is still to be written.' });
    const line = lesson.files['exercise.ts'].split('\n')[failure!.line! - 1];
    expect(line).toContain('write me');
  }
  expect(await failureOf(lessons[0], 'let a;\nlet a;')).toMatchObject({ line: 2 });
});
