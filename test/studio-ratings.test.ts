/** Ratings from file to report: gold ratings through the studio's server, its page of agreement, and `stats`. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addPerson, createClient, joinProjects, openDatabase, type QualityReport } from '../src/feedback/index.ts';
import { call, ownFolder } from './support/heed.ts';
import { barriers, looks, ownBrowser, startStudio } from './support/studio.ts';

const folder = ownFolder();
const run = (...args: string[]) => call(['feedback', ...args], folder.path);
const write = (name: string, rows: readonly object[]) =>
  writeFileSync(join(folder.path, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

/** The right ratings of a text, from 1 to 5. */
const truthOf = (n: number) => ({ polite: 1 + (n % 5), clear: 5 - (n % 4) });
const row = (n: number) => ({ prompt: `Prompt ${n}`, completion: `Text ${n}.` });
const clip = (value: number) => Math.min(5, Math.max(1, value));

/** Annotators by how they rate. */
const raters: Record<string, (n: number) => { polite: number; clear: number }> = {
  ada: truthOf,
  ben: (n) => ({ ...truthOf(n), clear: clip(truthOf(n).clear - (n % 2)) }),
  high: (n) => ({ polite: clip(truthOf(n).polite + 2), clear: clip(truthOf(n).clear + 2) }),
};
const tokens: Record<string, string> = {};
let url: string;
let stop: () => Promise<unknown>;

beforeAll(async () => {
  write(
    'texts.jsonl',
    Array.from({ length: 40 }, (_, n) => row(n)),
  );
  const gold = Array.from({ length: 20 }, (_, n) => ({ ...row(n + 100), ratings: truthOf(n + 100) }));
  write('gold.jsonl', gold);
  write('practice.jsonl', [{ ...row(200), ratings: { polite: 5 } }]);
  const aspects = [{ name: 'polite' }, { name: 'clear', tolerance: 0 }];
  const settings = { kind: 'rating', aspects, overlap: 3, goldShare: 0.5, practice: 1 };
  writeFileSync(join(folder.path, 'tone.json'), JSON.stringify(settings));
  writeFileSync(
    join(folder.path, 'wide.json'),
    JSON.stringify({ ...settings, aspects: [{ name: 'a', tolerance: 4 }] }),
  );
  for (const args of [
    ['texts.jsonl', '--config', 'tone.json'],
    ['gold.jsonl', '--gold'],
    ['practice.jsonl', '--practice-items'],
  ]) {
    expect(await run('import', ...args, '--project', 'tone')).toMatchObject({ code: 0 });
  }
  const database = await openDatabase(join(folder.path, 'feedback.db'));
  for (const name of ['owner', ...Object.keys(raters)]) {
    const { person, token } = await addPerson(database, name, name === 'owner' ? 'owner' : 'annotator');
    await joinProjects(database, person, ['tone']);
    tokens[name] = token;
  }
  await database.close();
  ({ url, stop } = await startStudio(folder.path));
});
afterAll(() => stop?.());

it('refuses gold ratings off the scale, in a file and over HTTP', async () => {
  write('wrong.jsonl', [
    { ...row(300), ratings: { polite: 3 } },
    { ...row(301), ratings: { polite: 9 } },
  ]);
  const refused = await run('import', 'wrong.jsonl', '--project', 'tone', '--gold');
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.stderr).toContain('"wrong.jsonl", line 2: "ratings.polite" expected 1 to 5, got 9');
  const wide = await run('import', 'texts.jsonl', '--project', 'wide', '--config', 'wide.json');
  expect(wide.stderr).toContain('The aspect "a": expected a tolerance of at most 3 on a scale of 5, got 4.');
  const studio = createClient({ url, token: tokens.owner });
  const content = { prompt: 'p', options: [{ kind: 'text' as const, text: 't' }] };
  const adding = studio.addItems('tone', [{ content, gold: { kind: 'rating', ratings: { polite: 6 } } }]);
  await expect(adding).rejects.toThrow('Item 1: gold.ratings.polite: expected 1 to 5, got 6.');
});

it('tells people the right ratings of practice alone, and counts gold that is within the tolerance', async () => {
  for (const [name, rate] of Object.entries(raters)) {
    const studio = createClient({ url, token: tokens[name] });
    for (let place = 0; ; place++) {
      const [assigned] = await studio.next('tone');
      if (!assigned) break;
      const n = Number(/\d+/.exec(String(assigned.item.content.prompt))![0]);
      expect(assigned.item.practice).toBe(place === 0);
      const judgment = { kind: 'rating' as const, ratings: rate(n) };
      const receipt = await studio.judge('tone', { id: randomUUID(), item: assigned.item.id, judgment });
      expect(receipt.gold).toEqual(place === 0 ? { kind: 'rating', ratings: { polite: 5 } } : undefined);
    }
  }
  const report = await createClient({ url, token: tokens.owner }).quality('tone');
  expect(report.aspects).toMatchObject([
    { name: 'polite', level: 'interval', scale: 5, tolerance: 1, ratings: 120, alpha: { items: 40 } },
    { name: 'clear', tolerance: 0 },
  ]);
  const of = (name: string) => report.people.find((one) => one.name === name)!;
  expect(of('ada').gold.right).toBe(1);
  expect(of('ada').gold.n).toBeGreaterThan(10);
  expect(of('ben').gold.right).toBeGreaterThan(0.2);
  expect(of('ben').gold.right).toBeLessThan(0.8); // clear must be exact
  expect(of('high').gold.right).toBeLessThan(0.3);
  expect(of('high').reliability).toBeLessThan(of('ada').reliability!);
  expect(of('high').ratings.map(({ aspect, difference }) => [aspect, difference! > 0.8])).toEqual([
    ['polite', true],
    ['clear', true],
  ]);
  expect(report).toMatchObject({ alpha: { alpha: null }, judged: 0, undecided: 0 });
});

it('has the same in stats, with what to do', async () => {
  const report = await createClient({ url, token: tokens.owner }).quality('tone');
  const stats = JSON.parse((await run('stats', '--project', 'tone', '--json')).stdout);
  expect(stats.aspects).toEqual(report.aspects);
  const byName = ({ people }: Pick<QualityReport, 'people'>) =>
    new Map(people.map(({ name, ratings, gold }) => [name, { ratings, gold }]));
  const own = stats.people.map(({ person, ...one }: { person: string }) => ({ ...one, name: person }));
  expect(byName({ people: own })).toEqual(byName(report));
  const { stdout } = await run('stats', '--project', 'tone');
  expect(stdout).toMatch(/polite +α 0\.\d\d \(0\.\d\d to 0\.\d\d\) on 40 items, interval; \d\.\d on average/);
  expect(stdout).toMatch(/note +rates polite \d\.\d points higher than others\. Compare two or three items/);
  expect(stdout).not.toContain('disagreements');
});

describe('the pages', async () => {
  const { open } = await ownBrowser();

  it('says of practice that a rating within the tolerance is right, and which one is known', async () => {
    const database = await openDatabase(join(folder.path, 'feedback.db'));
    const { person, token } = await addPerson(database, 'eve');
    await joinProjects(database, person, ['tone']);
    await database.close();
    const page = await open(`${url}/#token=${token}`);
    await page.getByRole('heading', { name: 'Projects' }).waitFor();
    await page.goto(`${url}/#/label/tone`);
    await page.getByText('Practice item').waitFor();
    for (const [aspect, value] of [
      ['polite', 4],
      ['clear', 1],
    ] as const) {
      await page
        .getByRole('group', { name: aspect })
        .getByRole('radio', { name: `${value}` })
        .check();
    }
    await page.keyboard.press('Enter');
    await page.getByText('Correct. The right judgment: polite 5').waitFor();
  });

  it.each(looks)('is on the page of agreement, for everybody to read: %j', async (look) => {
    const page = await open(`${url}/#token=${tokens.owner}`, look);
    await page.getByRole('heading', { name: 'Projects' }).waitFor();
    await page.goto(`${url}/#/quality/tone`);
    const row = page.getByRole('region', { name: 'Table of ratings' }).getByRole('row', { name: 'high polite' });
    await row.waitFor();
    expect(await row.innerText()).toMatch(/\+1\.\d \(\+\d\.\d to \+\d\.\d\)/);
    expect(await row.innerText()).toContain('points higher than others. Compare two or three items');
    expect(await page.getByRole('row', { name: 'Krippendorff’s α, clear' }).innerText()).toContain('(interval)');
    expect(await barriers(page)).toEqual([]);
    await page.goto(`${url}/#/settings/tone`);
    await page.getByLabel('Ratings are').first().waitFor();
    expect(await barriers(page)).toEqual([]);
  });
});
