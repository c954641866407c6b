/** What people look back on, in a real browser: one's own judgments, corrected, and how models do against each other. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  addItems,
  addPerson,
  createProject,
  type Database,
  joinProjects,
  listItems,
  openDatabase,
  recordJudgment,
} from '../src/feedback/index.ts';
import { ownFolder } from './support/heed.ts';
import { barriers, looks, ownBrowser, startStudio, until } from './support/studio.ts';

const folder = ownFolder();
const { browser, open } = await ownBrowser();
let database: Database;
let url: string;
let link: string;
let stop: () => Promise<unknown>;
let token: string;

const text = (text: string) => ({ kind: 'text' as const, text });

beforeAll(async () => {
  if (!browser) return;
  database = await openDatabase(join(folder.path, 'feedback.db'));
  const project = await createProject(database, 'soups', { goldShare: 0 });
  await addItems(
    database,
    project,
    ['leek', 'onion', 'pea'].map((soup, n) => ({
      content: { prompt: `How does one make ${soup} soup?`, options: [text(`new ${soup}`), text(`old ${soup}`)] },
      metadata: { models: n === 2 ? ['old', 'new'] : ['new', 'old'] },
    })),
  );
  const ada = await addPerson(database, 'ada');
  token = ada.token;
  await joinProjects(database, ada.person, ['soups']);
  const { items } = await listItems(database, project);
  const judgments = [
    { kind: 'pair' as const, choice: 'first' as const, reason: 'It names the leeks.' },
    { kind: 'skip' as const, reason: 'I do not know enough to tell' },
    { kind: 'pair' as const, choice: 'second' as const },
  ];
  for (const [i, { id: item }] of items.entries()) {
    await recordJudgment(database, project, ada.person.id, {
      id: `v${i}`,
      item,
      judgment: judgments[i],
      shown: [0, 1],
    });
  }
  ({ url, link, stop } = await startStudio(folder.path));
});
afterAll(async () => {
  await stop?.();
  await database?.close();
});

it('one finds what one judged and skipped, and corrects it; the record keeps what was there', async () => {
  const page = await open(`${url}/#token=${token}`);
  await page.getByRole('link', { name: /soups/ }).click();
  await page.getByRole('heading', { name: 'No more items for now. Thank you.' }).waitFor();
  await page.getByRole('main').getByRole('link', { name: 'My work' }).first().click();
  await page.getByText('How does one make pea soup?').waitFor();
  await page.getByText('skipped: I do not know enough to tell').waitFor();
  await page.getByLabel('Show').selectOption('skips');
  await page.getByText('How does one make leek soup?').waitFor({ state: 'detached' });
  await page.getByLabel('Show').selectOption('everything');
  await page.getByLabel('Search my judgments').fill('LEEKS');
  await page.getByText('How does one make pea soup?').waitFor({ state: 'detached' });
  await page.getByText('How does one make leek soup?').click();
  await page.getByText('Reason: It names the leeks.').waitFor();
  await page.getByRole('button', { name: 'Correct' }).click();
  // the words of the earlier judgment are there to be changed
  expect(await page.getByLabel('Reason (optional)').inputValue()).toBe('It names the leeks.');
  await page.getByLabel('Reason (optional)').fill('It forgets the leeks.');
  expect(await barriers(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await page.keyboard.press('2');
  await page.getByText('Corrected. The earlier judgment stays').waitFor();
  await page.getByRole('list', { name: 'Before' }).getByText('left is better').waitFor();
  const rows = () => database.query.selectFrom('judgments').select(['kind', 'judgmentJson']).orderBy('seq').execute();
  expect(await until(rows, ({ length }) => length === 4)).toHaveLength(4);
  expect(JSON.parse((await rows())[3].judgmentJson)).toEqual({
    kind: 'pair',
    choice: 'second',
    reason: 'It forgets the leeks.',
  });
  // nothing is left that would be sent or asked about
  expect(await page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('heed draft'))")).toEqual([]);
  await page.context().close();
});

it('what is written into a correction survives a reload, and a refused one loses nothing', async () => {
  const own = await open(`${url}/#token=${token}`);
  await own.getByRole('link', { name: /soups/ }).waitFor();
  await own.goto(`${url}/#/mine/soups`);
  const unfold = async () => {
    await own.getByText('How does one make pea soup?').click();
    await own.getByRole('button', { name: 'Correct' }).click();
  };
  await unfold();
  await own.getByText('Reason (optional)').click();
  await own.getByLabel('Reason (optional)').fill('peas first');
  await own.reload();
  await unfold();
  expect(await own.getByLabel('Reason (optional)').inputValue()).toBe('peas first');
  await own.route('**/judgments', (route) => route.abort());
  await own.keyboard.press('1');
  await own.getByRole('alert').getByText('The studio cannot be reached.').waitFor();
  expect(await own.getByLabel('Reason (optional)').inputValue()).toBe('peas first');
  await own.unroute('**/judgments');
  await own.keyboard.press('1');
  await own.getByText('Corrected. The earlier judgment stays').waitFor();
  await own.context().close();
});

it('models are ranked with intervals, on the page and as Markdown', async () => {
  const page = await open(link, { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.getByRole('heading', { name: 'Projects' }).waitFor();
  await page.goto(`${url}/#/models/soups`);
  const table = page.getByRole('region', { name: 'Table of models' });
  await table.getByRole('row', { name: /old/ }).waitFor();
  expect(await table.getByRole('row').nth(1).innerText()).toMatch(/^1\s+\w+\s+[+−-]?\d+/);
  await page.getByRole('button', { name: 'Copy as Markdown' }).click();
  await page.getByText('Copied.').waitFor();
  expect(await page.evaluate('navigator.clipboard.readText()')).toContain('| Rank | Model | Score (95 %)');
  await page.context().close();
});

it('a project is copied with its settings and guidelines, without items', async () => {
  const { token: lead } = await addPerson(database, 'copying', 'owner');
  const page = await open(`${url}/#token=${lead}`);
  await page.getByRole('link', { name: 'Manage soups' }).click();
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByLabel('What makes a response good').fill('It names its spices.');
  await page.getByRole('button', { name: 'Save new version' }).click();
  await page.getByText('Saved as version 2.').waitFor();
  await page.reload();
  await page.getByLabel('Name of the copy').fill('soups');
  await page.getByRole('button', { name: 'Create the copy' }).click();
  await page.getByRole('alert').getByText('There is already a project named "soups".').waitFor();
  await page.getByLabel('Name of the copy').fill('stews');
  await page.getByRole('button', { name: 'Create the copy' }).click();
  await page.getByRole('heading', { level: 1, name: 'stews' }).waitFor();
  await page.getByText('The project has no items yet.').waitFor();
  await page.getByRole('link', { name: 'Settings' }).click();
  expect(await page.getByLabel('What makes a response good').inputValue()).toBe('It names its spices.');
  expect(await page.getByLabel(/Share of gold items/).inputValue()).toBe('0');
  await page.context().close();
});

it.each(looks)('the pages of leads and of one’s own work keep nobody out: %j', async (look) => {
  const page = await open(link.replace(/#.*/, `#token=${token}`), look);
  await page.getByRole('heading', { name: 'Projects' }).waitFor();
  await page.goto(`${url}/#/mine/soups`);
  await page.getByText('How does one make pea soup?').click();
  await page.getByRole('button', { name: 'Correct' }).waitFor();
  expect(await barriers(page)).toEqual([]);
  await page.context().close();
  const { token: lead } = await addPerson(database, `lead ${look.colorScheme}`, 'owner');
  const theirs = await open(`${url}/#token=${lead}`, look);
  await theirs.getByRole('heading', { name: 'Projects' }).waitFor();
  expect(await barriers(theirs)).toEqual([]);
  for (const part of ['project', 'models', 'settings', 'items']) {
    await theirs.goto(`${url}/#/${part}/soups`);
    await theirs.getByRole('heading', { level: 1, name: /soups/ }).waitFor();
    await until(
      () => theirs.getByText('Loading…').count(),
      (count) => count === 0,
    );
    expect(await barriers(theirs)).toEqual([]);
  }
  await theirs.context().close();
});
