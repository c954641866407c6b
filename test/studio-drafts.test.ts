/** What an annotator writes is never lost, and the page says which guidelines and how much of the work there is. */
import { join } from 'node:path';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addItems,
  addPerson,
  createProject,
  type Database,
  joinProjects,
  openDatabase,
  type Project,
  writeGuidelines,
} from '../src/feedback/index.ts';
import { ownFolder } from './support/heed.ts';
import { ownBrowser, startStudio, until } from './support/studio.ts';

const folder = ownFolder();
const { browser, open } = await ownBrowser();
let database: Database;
let url: string;
let stop: () => Promise<unknown>;
const projects = new Map<string, Project>();

beforeAll(async () => {
  if (!browser) return;
  database = await openDatabase(join(folder.path, 'feedback.db'));
  const text = (text: string) => ({ kind: 'text' as const, text });
  for (const kind of ['pair', 'correction'] as const) {
    const options = kind === 'pair' ? [text('one'), text('two')] : [text('a response with a misteak')];
    const settings = { kind, goldShare: 0, better: kind === 'pair', strength: kind === 'pair' };
    const project = await createProject(database, kind, settings, { guidelines: 'Be kind. Be brief.' });
    projects.set(kind, project);
    await addItems(
      database,
      project,
      Array.from({ length: 30 }, (_, n) => ({ content: { prompt: `${kind} ${n}`, options } })),
    );
  }
  ({ url, stop } = await startStudio(folder.path));
});
afterAll(async () => {
  await stop?.();
  await database?.close();
});

/** The page of a project, opened by somebody new. */
async function begin(project: 'pair' | 'correction', options?: BrowserContextOptions): Promise<Page & { who: string }> {
  const who = `person ${crypto.randomUUID().slice(0, 8)}`;
  const { person, token } = await addPerson(database, who);
  await joinProjects(database, person, [project]);
  const page = await open(`${url}/#token=${token}`, options);
  await page.getByRole('heading', { name: 'Projects' }).waitFor();
  await page.goto(`${url}/#/label/${project}`);
  await page.getByRole('region', { name: 'Prompt' }).waitFor();
  return Object.assign(page, { who });
}

const promptOf = (page: Page) => page.getByRole('region', { name: 'Prompt' }).innerText();
const drafts = (page: Page) =>
  page.evaluate<string[]>("Object.keys(localStorage).filter((key) => key.startsWith('heed draft'))");
async function judgmentsOf(who: string, count: number) {
  const look = () =>
    database.query
      .selectFrom('judgments')
      .innerJoin('people', 'people.id', 'judgments.person')
      .select([
        'judgments.kind',
        'judgments.judgmentJson',
        'judgments.guidelines',
        'judgments.handed',
        'judgments.created',
        'judgments.shownJson',
      ])
      .where('people.name', '=', who)
      .orderBy('judgments.seq')
      .execute();
  const rows = await until(look, ({ length }) => length >= count);
  return rows.map(({ judgmentJson, ...row }) => ({ ...row, answer: JSON.parse(judgmentJson) }));
}
const kept = 'What you have written is kept in this browser until it is sent.';

describe('what is written and not sent', () => {
  it('survives a reload, another page and a crash of the tab, says so, and leaves once it is sent', async () => {
    const page = await begin('correction');
    const item = await promptOf(page);
    await page.getByLabel('Corrected response').fill('a response without mistakes');
    await page.getByText('Reason (optional)').click();
    await page.getByLabel('Reason (optional)').fill('spelling');
    await page.getByText('Comments').click();
    await page.getByLabel('Comment on this item').fill('who wrote this?');
    await page.getByText(kept).waitFor();
    const isThere = async () => {
      expect(await promptOf(page)).toBe(item);
      expect(await page.getByLabel('Corrected response').inputValue()).toBe('a response without mistakes');
      expect(await page.getByLabel('Reason (optional)').inputValue()).toBe('spelling');
      expect(await page.getByLabel('Comment on this item').inputValue()).toBe('who wrote this?');
      await page.getByText(kept).waitFor();
    };
    await page.reload();
    await page.getByRole('region', { name: 'Prompt' }).waitFor();
    await isThere();
    await page.getByRole('link', { name: 'heed' }).click();
    await page.getByRole('link', { name: 'correction', exact: false }).first().click();
    await page.getByRole('region', { name: 'Prompt' }).waitFor();
    await isThere();
    // a tab that crashes runs no code at its end; neither does one that goes elsewhere without a word
    await page.goto('about:blank');
    await page.goto(`${url}/#/label/correction`);
    await page.getByRole('region', { name: 'Prompt' }).waitFor();
    await isThere();

    await page.getByRole('button', { name: 'Send comment' }).click();
    await page.getByText('who wrote this?').first().waitFor();
    await page.getByRole('button', { name: /^Send/, exact: false }).first().click();
    await until(
      () => promptOf(page),
      (now) => now !== item,
    );
    const [judgment] = await judgmentsOf(page.who, 1);
    expect(judgment.answer).toEqual({ kind: 'correction', text: 'a response without mistakes', reason: 'spelling' });
    expect(
      await until(
        () => drafts(page),
        ({ length }) => length === 0,
      ),
    ).toEqual([]);
    await page.context().close();
  });

  it('survives an expired session, for the same person alone', async () => {
    const page = await begin('correction');
    await page.getByLabel('Corrected response').fill('mine');
    await page.context().clearCookies();
    await page.reload();
    await page.getByLabel('Token').waitFor();
    const { person, token } = await addPerson(database, `other ${page.who}`);
    await joinProjects(database, person, ['correction']);
    await page.goto('about:blank');
    await page.goto(`${url}/#token=${token}/label/correction`);
    await page.getByLabel('Corrected response').waitFor();
    expect(await page.getByLabel('Corrected response').inputValue()).toBe('a response with a misteak');
    expect(await drafts(page)).toHaveLength(1);
    await page.context().close();
  });

  it('comes back with an undo; a reason for skipping is added to what was typed', async () => {
    const page = await begin('correction');
    const item = await promptOf(page);
    await page.getByLabel('Corrected response').fill('sent by mistake');
    await page.getByText('Reason (optional)').click();
    await page.getByLabel('Reason (optional)').fill('because');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: /^Send ctrl/ }).click();
    await judgmentsOf(page.who, 1);
    await page.getByRole('button', { name: 'Undo' }).click();
    await until(
      () => promptOf(page),
      (now) => now === item,
    );
    expect(await page.getByLabel('Corrected response').inputValue()).toBe('sent by mistake');
    expect(await page.getByLabel('Reason (optional)').inputValue()).toBe('because');
    await page.getByRole('button', { name: /^Skip/ }).click();
    await page.getByRole('button', { name: /I do not understand it/ }).click();
    const judgments = await judgmentsOf(page.who, 3);
    expect(judgments.map(({ kind }) => kind)).toEqual(['judgment', 'undo', 'skip']);
    expect(judgments[2].answer.reason).toBe('I do not understand it: because');
    await page.getByText('0 judged by you, 1 skipped').waitFor();
    await page.context().close();
  });

  it('stays where the studio refuses the judgment, and is asked about before signing out', async () => {
    const page = await begin('correction');
    await page.getByLabel('Corrected response').fill('x');
    const asked: string[] = [];
    page.once('dialog', (dialog) => {
      asked.push(dialog.message());
      void dialog.dismiss();
    });
    await page.getByRole('button', { name: 'Sign out' }).click();
    await until(
      async () => asked.length,
      (count) => count > 0,
    );
    expect(asked[0]).toMatch(
      /^You have written about 1 item and not sent it\. Delete what is not sent, and sign out\?/,
    );
    await page.route('**/judgments', (route) =>
      route.fulfill({ status: 400, json: { error: { message: 'This is refused.' } } }),
    );
    await page.getByRole('button', { name: /^Send ctrl/ }).click();
    await page.getByText('This is refused.').waitFor();
    expect(await drafts(page)).toHaveLength(1);
    await page.context().close();
  });
});

describe('judging', () => {
  it('1 then 2 is the right one: how much better has keys of its own', async () => {
    const page = await begin('pair');
    await page.keyboard.press('1');
    await page.keyboard.press('2');
    await page.getByRole('group', { name: 'How much better?' }).waitFor();
    await page.keyboard.press('8');
    const [{ answer, shownJson }] = await judgmentsOf(page.who, 1);
    const right = JSON.parse(shownJson!)[1] === 0 ? 'first' : 'second';
    expect(answer).toMatchObject({ choice: right, strength: 3 });
    await page.context().close();
  });

  it('works on French and Cyrillic keyboards: keys go by their place where they write no Latin letter', async () => {
    const page = await begin('pair');
    const press = (key: string, code: string) =>
      page.evaluate(
        `dispatchEvent(new KeyboardEvent('keydown', ${JSON.stringify({ key, code, bubbles: true, cancelable: true })}))`,
      );
    await press('é', 'Digit2'); // AZERTY
    await page.getByRole('group', { name: 'How much better?' }).waitFor();
    await press('_', 'Digit8');
    await judgmentsOf(page.who, 1);
    await press('ы', 'KeyS'); // ЙЦУКЕН
    await page.getByRole('group', { name: 'Reason for skipping' }).waitFor();
    await press('ы', 'KeyS');
    expect((await judgmentsOf(page.who, 2))[1].kind).toBe('skip');
    // a Latin letter is what it writes: the A of an AZERTY keyboard lies where Q does elsewhere
    await press('q', 'KeyA');
    await press('w', 'KeyZ');
    expect(await page.evaluate<string>('document.activeElement.tagName')).toBe('TEXTAREA');
    await page.context().close();
  });

  it('stores when an item was handed out, and the version of the guidelines that was on the screen', async () => {
    const page = await begin('pair');
    const judge = async () => {
      const before = await promptOf(page);
      await page.keyboard.press('1');
      await page.keyboard.press('6');
      await until(
        () => promptOf(page),
        (now) => now !== before,
      );
    };
    const fetched = page.waitForResponse('**/next');
    await judge();
    await judgmentsOf(page.who, 1);
    await fetched;
    // until the page asks for items again, it cannot know of a new version
    await page.route('**/next', (route) => route.abort());
    const { id } = projects.get('pair')!;
    const first = (await judgmentsOf(page.who, 1))[0].guidelines;
    await writeGuidelines(database, id, `Be kind. Be accurate. ${'more '.repeat(first)}`, null);
    await judge(); // what was on the screen counts
    await judgmentsOf(page.who, 2);
    await page.unroute('**/next');
    const title = page.getByRole('heading', { name: `The guidelines have changed: version ${first + 1}` });
    await title.waitFor();
    expect(await page.locator('.difference ins').first().innerText()).toContain('accurate');
    expect(await page.locator('.difference del').first().innerText()).toContain('brief');
    await page.keyboard.press('1'); // judges nothing until it was read
    await page.reload();
    await title.waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: /^Left is better/ }).waitFor();
    await judge();
    const judgments = await judgmentsOf(page.who, 3);
    expect(judgments.map(({ guidelines }) => guidelines)).toEqual([first, first, first + 1]);
    for (const { handed, created } of judgments) expect(handed).toBeLessThanOrEqual(created);
    await page.getByText('3 judged by you').waitFor();
    await page.reload();
    await page.getByText('3 judged by you').waitFor();
    expect(await title.count()).toBe(0);
    await page.context().close();
  });
});
