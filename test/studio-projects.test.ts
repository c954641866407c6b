/** Projects made, filled, watched and decided in a real browser, and people let in and shut out. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownFolder } from './support/heed.ts';
import { barriers, ownBrowser, startStudio } from './support/studio.ts';

const folder = ownFolder();
const { browser, open } = await ownBrowser();
let url: string;
let stop: () => Promise<unknown>;
let page: Page;
const links: string[] = [];

const SCRIPT = '<img src=x onerror="document.title=1">';

beforeAll(async () => {
  if (!browser) return;
  const started = await startStudio(folder.path);
  ({ url, stop } = started);
  page = await open(started.link, { acceptDownloads: true });
});
afterAll(() => stop?.());

describe('an owner', () => {
  it('makes a project by a form of its settings', async () => {
    await page.getByRole('link', { name: 'New project' }).click();
    await page.getByLabel('Name', { exact: true }).fill('haiku');
    await page.getByLabel(/Guidelines/).fill(`Be **kind**. ${SCRIPT}`);
    await page.getByLabel(/Judgments per item/).fill('2');
    await page.getByLabel(/Share of gold items/).fill('0');
    await page.getByRole('checkbox', { name: /A better response/ }).check();
    await page.getByRole('button', { name: 'Add aspect' }).click();
    await page
      .getByRole('group', { name: /Aspects/ })
      .getByLabel('Name')
      .fill('rhythm');
    // the example follows the settings, and is nothing to use
    expect(await page.locator('.preview').getByText('A better response').count()).toBe(1);
    expect(await page.locator('.preview [inert]').count()).toBe(1);
    await page.getByLabel(/^Language/).selectOption({ label: 'German' });
    expect(await page.locator('.preview').getByText('Eine bessere Antwort').count()).toBe(1);
    await page.getByLabel(/^Language/).selectOption({ label: 'English' });
    expect(await barriers(page)).toEqual([]);
    await page.getByRole('button', { name: 'Create project' }).click();
    await page.getByText('0 of 0').waitFor();
    await page.getByText('Judgments per item: 2.').waitFor();
  });

  it('adds items by a file, and is told which row is wrong', async () => {
    const path = join(folder.path, 'pairs.csv');
    const rows = Array.from({ length: 6 }, (_, n) => `"haiku ${n}, ${SCRIPT.replaceAll('"', '""')}",good,bad`);
    writeFileSync(path, ['prompt,chosen,rejected', ...rows].join('\n'));
    await page.getByLabel(/^File \(/).setInputFiles(path);
    await page.getByRole('button', { name: 'Add items' }).click();
    await page.getByText('Added 6 items').waitFor();
    await page.getByText('0 of 6').waitFor();
    await page.getByLabel('File type').selectOption('jsonl');
    await page.getByLabel('Or paste rows').fill('{"prompt": "p", "chosen": 1, "rejected": "b"}');
    await page.getByRole('button', { name: 'Add items' }).click();
    const alert = await page.getByRole('alert').innerText();
    expect(alert).toContain('line 1');
    expect(alert).not.toContain(folder.path);
  });

  it('adds people, whose links sign them in', async () => {
    await page.getByRole('link', { name: 'People', exact: true }).click();
    for (const name of ['ada', 'ben', 'chi']) {
      await page.getByLabel('Name').fill(name);
      // nobody sees a project that the owner did not tick
      expect(await page.getByRole('checkbox', { name: 'haiku' }).isChecked()).toBe(false);
      await page.getByRole('checkbox', { name: 'haiku' }).check();
      await page.getByRole('button', { name: 'Add', exact: true }).click();
      const told = page.getByRole('region', { name: 'New token' });
      await told.getByText(`signs ${name} in`).waitFor();
      links.push(await told.getByText(url).innerText());
    }
    await page
      .getByText(/^token until .*, not used yet$/)
      .first()
      .waitFor();
    await page.getByLabel('Days until a new token expires').fill('3');
    await page.getByRole('button', { name: 'New token for ben' }).click();
    const told = page.getByRole('region', { name: 'New token' });
    await told.getByText('signs ben in').waitFor();
    links[1] = await told.getByText(url).innerText();
    expect(await barriers(page)).toEqual([]);
    page.once('dialog', (dialog) => void dialog.accept());
    await page.getByRole('button', { name: 'Revoke access of chi' }).click();
    await page.getByText('access revoked', { exact: true }).waitFor();
    const theirs = await open(links[2]);
    await theirs.getByRole('alert').waitFor();
    await theirs.context().close();
  });

  it('sees how far people agree, decides between them, and downloads what came out', async () => {
    for (const [who, link] of links.slice(0, 2).entries()) {
      const theirs = await open(link);
      await theirs.getByRole('link', { name: /haiku/ }).click();
      expect(await theirs.getByRole('link', { name: /Manage|People/ }).count()).toBe(0);
      for (let i = 0; i < 6; i++) {
        const prompt = theirs.getByRole('region', { name: 'Prompt' });
        const text = await prompt.innerText();
        const goodIsLeft = (await theirs.getByRole('region', { name: 'Left' }).innerText()) === 'good';
        const good = who === 0 || !text.includes('haiku 2');
        await theirs.keyboard.press(goodIsLeft === good ? '1' : '2');
        await theirs.keyboard.press('Enter');
      }
      await theirs.getByText('No more items').waitFor();
      await theirs.waitForFunction("!document.body.innerText.includes('waiting to be sent')");
      await theirs.context().close();
    }
    await page.goto(`${url}/#/quality/haiku`);
    await page.getByRole('row', { name: /Krippendorff/ }).waitFor();
    // on a slow machine the page has the latest report until a newer one is made
    while ((await page.getByRole('row', { name: /^ada 6 / }).count()) === 0) {
      await page.reload();
      await page.getByRole('row', { name: /Krippendorff/ }).waitFor();
    }
    expect(await barriers(page)).toEqual([]);
    await page.getByRole('link', { name: /Adjudicate/ }).click();
    await page.getByText('1 to decide').waitFor();
    // who said what is shown once it is decided
    expect(await page.getByText('ada').count()).toBe(0);
    expect(await barriers(page)).toEqual([]);
    const goodIsLeft = (await page.getByRole('region', { name: 'Left', exact: true }).innerText()) === 'good';
    await page.keyboard.press(goodIsLeft ? '1' : '2');
    await page.keyboard.press('Enter');
    await page.getByText('You decided:').waitFor();
    const said = await page.getByRole('list', { name: 'Judgments' }).innerText();
    expect(said).toMatch(/ada (left|right) is better/);
    expect(said).toMatch(/ben .* right \d+ % of the time/);
    await page.getByRole('heading', { name: /^Likeliest: (left|right) is better, \d+ %/ }).waitFor();
    expect(await barriers(page)).toEqual([]);
    await page.getByRole('button', { name: 'Decide again' }).click();
    await page.keyboard.press(goodIsLeft ? '1' : '2');
    await page.keyboard.press('Enter');
    await page.getByText('You decided:').waitFor();
    await page.keyboard.press('Enter');
    await page.getByText('All disagreements are decided').waitFor();
    await page.goto(`${url}/#/project/haiku`);
    await page.getByText('6 of 6').waitFor();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'jsonl' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('haiku.jsonl');
    const lines = readFileSync(await download.path(), 'utf8')
      .trim()
      .split('\n');
    const rows = lines.map((line) => JSON.parse(line));
    expect(rows).toHaveLength(6);
    expect(rows.every(({ chosen, rejected }) => chosen === 'good' && rejected === 'bad')).toBe(true);
  });

  it('changes settings and guidelines; answers remember which they followed', async () => {
    await page.goto(`${url}/#/settings/haiku`);
    await page.getByLabel('What makes a response good').fill('Be kinder.');
    await page.getByRole('button', { name: 'Save new version' }).click();
    await page.getByText('Saved as version 2.').waitFor();
    await page.getByLabel(/Judgments per item/).fill('3');
    await page.getByRole('button', { name: 'Save settings' }).click();
    await page.getByText('Saved. Items handed out').waitFor();
    await page.goto(`${url}/#/project/haiku`);
    await page.getByText('Judgments per item: 3.').waitFor();
    await page.goto(`${url}/#/settings/haiku`);
    for (const labels of ['100', '']) {
      await page.getByLabel(/Judgment budget/).fill(labels);
      await page.getByRole('button', { name: 'Save settings' }).click();
      await page.getByText('Saved. Items handed out').waitFor();
      await page.reload();
      await page.getByLabel(/Judgment budget/).waitFor();
      expect(await page.getByLabel(/Judgment budget/).inputValue()).toBe(labels);
    }
    expect(await barriers(page)).toEqual([]);
    await page.setViewportSize({ width: 380, height: 800 });
    expect(await barriers(page)).toEqual([]);
    expect(await page.title()).toBe('heed');
  });

  it('finds items, puts them away and takes them back, and deletes them', async () => {
    await page.setViewportSize({ width: 1280, height: 720 });
    await page.goto(`${url}/#/items/haiku`);
    await page.getByText('6 items').waitFor();
    await page.getByLabel('Search').fill('haiku 3');
    await page.getByText('1 item', { exact: true }).waitFor();
    await page.getByRole('button', { name: /haiku 3/ }).click();
    await page.getByRole('list', { name: 'Judgments' }).getByText('ada').waitFor();
    expect(await barriers(page)).toEqual([]);
    await page.getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Archive 1 selected' }).click();
    await page.getByText('Archived 1 item.').waitFor();
    await page.getByLabel('Show').selectOption('Archived');
    await page.getByText('1 item', { exact: true }).waitFor();
    await page.getByRole('checkbox').check();
    page.once('dialog', (dialog) => void dialog.accept());
    await page.getByRole('button', { name: 'Delete 1 selected' }).click();
    await page.getByText('Deleted 1 item.').waitFor();
    await page.getByText('0 items').waitFor();
  });

  it('chooses who sees a project, archives it, and reads in the activity what was done', async () => {
    await page.goto(`${url}/#/settings/haiku`);
    await page.getByRole('checkbox', { name: 'ada' }).uncheck();
    await page.getByText('Saved.', { exact: true }).waitFor();
    const theirs = await open(links[0]);
    await theirs.getByText(/You are in no project yet|token is not valid/).waitFor();
    await theirs.context().close();
    await page.getByRole('button', { name: 'Archive project' }).click();
    await page.getByText('This project is archived').waitFor();
    await page.goto(`${url}/#/`);
    await page.getByText('No projects yet').waitFor();
    await page.getByRole('button', { name: 'Show archived projects' }).click();
    await page.getByRole('link', { name: 'Manage haiku' }).click();
    await page.getByText('This project is archived').waitFor();
    await page.getByRole('link', { name: 'Settings' }).click();
    await page.getByRole('button', { name: 'Restore project' }).click();
    await page.getByText('This project is archived').waitFor({ state: 'detached' });
    await page.goto(`${url}/#/people`);
    await page.getByRole('link', { name: 'Activity' }).click();
    for (const kind of ['project restored', 'project archived', 'members set', 'items deleted', 'signed in']) {
      await page.getByRole('cell', { name: kind }).first().waitFor();
    }
    expect(await barriers(page)).toEqual([]);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download CSV' }).click(),
    ]);
    expect(readFileSync(await download.path(), 'utf8')).toContain('project archived');
    await page.goto(`${url}/#/settings/haiku`);
    page.once('dialog', (dialog) => void dialog.accept('haiku'));
    await page.getByRole('button', { name: 'Delete project' }).click();
    await page.getByText('No projects yet').waitFor();
  });
});
