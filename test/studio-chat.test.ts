/** A conversation with a model in a real browser: what is chosen and written becomes a dataset. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exportRows, findProject, openDatabase } from '../src/feedback/index.ts';
import { ownFolder } from './support/heed.ts';
import { barriers, ownBrowser, startStudio } from './support/studio.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const { browser, open } = await ownBrowser();
let stop: () => Promise<unknown>;
let page: Page;

beforeAll(async () => {
  if (!browser) return;
  const model = smallModel();
  const started = await startStudio(folder.path, ['--model', model, '--max-tokens', '12']);
  stop = started.stop;
  page = await open(started.link);
});
afterAll(() => stop?.());

it('draws two answers a turn, keeps the choice and what was written, and goes on from it', async () => {
  await page.getByRole('link', { name: 'Chat' }).click();
  await page.getByRole('button', { name: 'Start' }).click();
  await page.getByLabel(/Your first message/).fill('How are <b>you</b>?');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: /Left is better/ }).waitFor();
  const left = await page.getByRole('region', { name: 'Left' }).innerText();
  expect(await barriers(page)).toEqual([]);
  await page.keyboard.press('1');
  await page.getByText('1 judgment saved').waitFor();
  await page.getByLabel(/Your message/).fill('And now?');
  await page.getByRole('button', { name: /Send/ }).click();
  await page.getByText('A better response (optional)').click();
  await page.getByLabel(/A better response/).fill('Well, thank you.');
  await page.getByRole('button', { name: /Right is better/ }).click();
  await page.getByText('2 judgments saved').waitFor();
  const conversation = await page.getByRole('region', { name: 'Prompt' }).innerText();
  expect(conversation).toContain('How are <b>you</b>?');
  expect(conversation).toContain(left.trim().split('\n')[0]);
  expect(conversation).toContain('Well, thank you.');

  const database = await openDatabase(join(folder.path, 'feedback.db'));
  try {
    const project = await findProject(database, 'chat');
    const compared = [];
    for await (const row of exportRows(database, project)) compared.push(row);
    expect(compared).toHaveLength(2);
    expect(compared[0].prompt).toEqual([{ role: 'user', content: 'How are <b>you</b>?' }]);
    expect(compared[0].source).toContain('tiny-llama');
    expect((compared[1].prompt as unknown[]).length).toBe(3);
    const written = [];
    for await (const row of exportRows(database, project, { format: 'prompt-completion' })) written.push(row);
    expect(written.map(({ completion }) => completion)).toEqual([[{ role: 'assistant', content: 'Well, thank you.' }]]);
  } finally {
    await database.close();
  }
});

it('shows what a model would learn of the judgments, before a training, as text', async () => {
  await page.goto(`${new URL(page.url()).origin}/#/project/chat`);
  await page.getByText('See what a model learns of it').click();
  const row = page.getByRole('article', { name: /^row 1, chosen/ });
  await row.getByText(/^row 1, chosen: \d+ tokens, \d+ learned \(\d+ %\)/).waitFor();
  expect(await row.locator('.text').innerText()).toContain('user\nHow are <b>you</b>?<|im_end|>');
  expect(await row.locator('mark').allInnerTexts()).toEqual([expect.stringMatching(/<\|im_end\|>\s*$/)]);
  expect(await row.locator('b').count()).toBe(0);
  expect(await page.getByRole('article', { name: /^row/ }).count()).toBe(4); // two pairs
  expect(await barriers(page)).toEqual([]);
  await page.getByLabel('Format').selectOption('prompt-completion');
  await page
    .getByRole('article', { name: /^row 1, completion/ })
    .getByText('Well, thank you.')
    .waitFor();
  await page.getByLabel('Format').selectOption('judgments');
  await page.getByText('See what a model learns of it').waitFor({ state: 'detached' });
});
