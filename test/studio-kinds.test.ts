/** Every kind of item answered in a real browser, by keyboard, by mouse and by two people at once. */
import { join } from 'node:path';
import type { BrowserContextOptions, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addItems,
  addPerson,
  changeSettings,
  createProject,
  type Database,
  findProject,
  joinProjects,
  listProjects,
  openDatabase,
  type ProjectInput,
  setCritiques,
  setSuggestions,
} from '../src/feedback/index.ts';
import { ownFolder } from './support/heed.ts';
import { barriers, ownBrowser, startStudio, until } from './support/studio.ts';

const folder = ownFolder();
const { browser, open } = await ownBrowser();
let database: Database;
let url: string;
let stop: () => Promise<unknown>;
let token: string;
const tokens: string[] = [];

const SCRIPT = '<script>document.title="hacked"</script><img src=x onerror="document.title=1">';
const aspects = [{ name: 'helpful' }, { name: 'honest', scale: 3 }];
const projects: [name: string, settings: ProjectInput, options: number][] = [
  ['rank', { kind: 'ranking' }, 3],
  ['rank many', { kind: 'ranking' }, 12],
  ['rate', { kind: 'rating', aspects }, 1],
  ['binary', { kind: 'binary', reason: 'required' }, 1],
  ['correct', { kind: 'correction' }, 1],
  ['write', { kind: 'demonstration' }, 0],
  ['strength', { strength: true, better: true, aspects: aspects.slice(0, 1) }, 2],
  ['together', { overlap: 1 }, 2],
  ['crossing', {}, 2],
  ['critiques', { overlap: 2 }, 2],
  ['deutsch', { language: 'de', strength: true, better: true, spans: true, overlap: 2 }, 2],
];

beforeAll(async () => {
  if (!browser) return;
  database = await openDatabase(join(folder.path, 'feedback.db'));
  for (const [name, settings, count] of projects) {
    const project = await createProject(database, name, { goldShare: 0, ...settings });
    const items = Array.from({ length: name === 'together' ? 20 : 3 }, (_, n) => ({
      content: {
        prompt: `**${name}** ${n} ${SCRIPT}`,
        options: Array.from({ length: count }, (_, i) => ({
          kind: 'text' as const,
          text: `option${i} of ${n}\n\n- one\n- \`two\`\n\n${SCRIPT}`,
        })),
      },
    }));
    await addItems(database, project, items);
  }
  const suggested = await createProject(database, 'suggested', { goldShare: 0, overlap: 2 });
  const tastes = ['better', 'worse'].map((text) => ({ kind: 'text' as const, text }));
  await addItems(
    database,
    suggested,
    Array.from({ length: 14 }, (_, n) => ({ content: { prompt: `taste ${n}`, options: tastes } })),
  );
  const ids = await database.query.selectFrom('items').select('id').where('project', '=', suggested.id).execute();
  await setSuggestions(database, suggested.id, new Map(ids.map(({ id }) => [id, { by: 'taste', scores: [1.5, 0] }])));
  const practiced = await createProject(database, 'practice', {
    goldShare: 0,
    practice: 1,
    overlap: 2,
    seeOthers: true,
  });
  const pair = (prompt: string) => ({
    prompt,
    options: [
      { kind: 'text' as const, text: 'good' },
      { kind: 'text' as const, text: 'bad' },
    ],
  });
  await addItems(database, practiced, [
    { content: pair('known'), practice: true, gold: { kind: 'pair', choice: 'first', reason: 'it is good' } },
    { content: pair('unknown') },
  ]);
  const marked = await createProject(database, 'marked', { kind: 'binary', spans: true, goldShare: 0 });
  await addItems(database, marked, [
    { content: { prompt: 'p', options: [{ kind: 'text', text: 'A true start, and a **false** end.' }] } },
  ]);
  const agent = await createProject(database, 'agent', { goldShare: 0 });
  await addItems(database, agent, [
    {
      content: {
        prompt: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What is on this picture?' },
              { type: 'image_url', image_url: { url: PICTURE } },
            ],
          },
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ function: { name: 'look', arguments: '{"where": "left"}' } }],
          },
          { role: 'tool', content: '{"found": "a dot"}' },
        ],
        options: [
          { kind: 'image', href: PICTURE, alt: 'a drawing' },
          { kind: 'messages', messages: [{ role: 'assistant', content: `A dot. ${SCRIPT}` }] },
        ],
      },
    },
  ]);
  const names = (await listProjects(database)).map(({ name }) => name);
  for (const name of ['ada', 'ben', 'chi']) {
    const { person, token: own } = await addPerson(database, name);
    await joinProjects(database, person, names);
    if (name === 'ada') token = own;
    else tokens.push(own);
  }
  ({ url, stop } = await startStudio(folder.path));
});
afterAll(async () => {
  await stop?.();
  await database?.close();
});

/** A dot. */
const PICTURE =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

async function openAt(project: string, as = token, options?: BrowserContextOptions): Promise<Page> {
  const page = await open(`${url}/#token=${as}`, options);
  await page.getByRole('heading', { name: 'Projects' }).waitFor();
  await page.goto(`${url}/#/label/${project}`);
  await prompt(page);
  return page;
}

const prompt = (page: Page) => page.getByRole('region', { name: 'Prompt' }).innerText();

const answersTo = async (project: string, count: number) => {
  const look = () =>
    database.query
      .selectFrom('judgments')
      .innerJoin('projects', 'projects.id', 'judgments.project')
      .select(['judgments.judgmentJson', 'judgments.shownJson', 'judgments.item', 'judgments.person'])
      .where('projects.name', '=', project)
      .orderBy('judgments.seq')
      .execute();
  const rows = await until(look, ({ length }) => length >= count);
  return rows.map(({ judgmentJson, shownJson, ...row }) => ({
    ...row,
    answer: JSON.parse(judgmentJson),
    shown: JSON.parse(shownJson!) as number[],
  }));
};

/** Until another item is shown. */
async function moved(page: Page, from: string): Promise<void> {
  await until(
    () => prompt(page),
    (now) => now !== from,
  );
}

describe('every kind of item', () => {
  it('marks parts of a response by words or selection, each with a reason', async () => {
    const page = await openAt('marked');
    const words = page.getByLabel('Words to mark in Response');
    await words.fill('true START');
    await page.getByLabel('Reason for the mark in Response').fill('it is so');
    await page.getByRole('button', { name: 'Good part' }).click();
    await words.fill('not there');
    expect(await page.getByRole('button', { name: 'Bad part' }).isDisabled()).toBe(true);
    await page.evaluate(`(() => {
      const text = [...document.querySelector('.option .text').childNodes].at(-1);
      const range = document.createRange();
      range.setStart(text, text.data.indexOf('**false**'));
      range.setEnd(text, text.data.indexOf(' end'));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
    })()`);
    await page.locator('.option .text').dispatchEvent('mouseup');
    await page.getByRole('button', { name: 'Bad part' }).click();
    await page.getByRole('list', { name: 'Marks in Response' }).getByText('it is so').waitFor();
    expect(await barriers(page)).toEqual([]);
    await page.getByRole('button', { name: /^Good/ }).last().click();
    const [{ answer }] = await answersTo('marked', 1);
    expect(answer).toEqual({
      kind: 'binary',
      good: true,
      spans: [
        { option: 0, start: 2, end: 12, good: true, reason: 'it is so' },
        { option: 0, start: 20, end: 29, good: false },
      ],
    });
    await page.context().close();
  });

  it('shows images, and conversations with calls of tools', async () => {
    const page = await openAt('agent');
    const conversation = page.getByRole('region', { name: 'Prompt' });
    await conversation.getByRole('img', { name: 'Attachment 1' }).waitFor();
    const said = await conversation.innerText();
    expect(said).toMatch(/What is on this picture\?[\s\S]*Calls look[\s\S]*"where": "left"[\s\S]*"found": "a dot"/);
    const drawing = page.getByRole('img', { name: 'a drawing' });
    expect(await drawing.evaluate((image: { naturalWidth: number }) => image.naturalWidth)).toBe(1);
    await page.getByText(`A dot. ${SCRIPT}`).waitFor();
    expect(await barriers(page)).toEqual([]);
    await page.keyboard.press('2');
    const [{ answer, shown }] = await answersTo('agent', 1);
    expect(answer.choice).toBe(shown[0] === 0 ? 'second' : 'first');
    await page.context().close();
  });

  it('ranks by number keys with ties, and by dragging', async () => {
    const page = await openAt('rank');
    const first = await prompt(page);
    for (const key of ['2', '1', 't', '3', 'Enter']) await page.keyboard.press(key);
    await moved(page, first);
    await page.getByRole('button', { name: 'Rank response 3 next' }).click();
    await page.getByRole('button', { name: 'Rank response 1 next' }).click();
    const chip = page.getByRole('button', { name: 'Rank response 2 next' });
    const gap = page.getByRole('list', { name: 'Best first' }).locator('.gap').first();
    await chip.hover();
    await page.mouse.down();
    const { x, y, width, height } = (await gap.boundingBox())!;
    await page.mouse.move(x + width / 2, y + height / 2, { steps: 10 });
    await gap.locator('.chip').waitFor();
    await page.mouse.up();
    expect(await page.getByRole('list', { name: 'Best first' }).innerText()).toMatch(/2\s+3\s+1/);
    await page.getByRole('button', { name: /Send/ }).click();
    const [tied, dragged] = await answersTo('rank', 2);
    const byPlace = ({ answer, shown }: typeof tied) => shown.map((option) => answer.ranks[option]);
    expect(byPlace(tied)).toEqual([2, 1, 2]);
    expect(byPlace(dragged)).toEqual([3, 1, 2]);
    await page.context().close();
  });

  it('ranks twelve by two digits each, and by a finger', async () => {
    const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
    const page = await openAt('rank many', token, phone);
    const ranking = page.getByRole('list', { name: 'Best first' });
    await page.getByText('Each number is typed with two digits').waitFor();
    for (const key of '12010302t11') await page.keyboard.press(key);
    expect((await ranking.innerText()).match(/\d+/g)).toEqual(['12', '1', '3', '2', '11']);
    // a finger takes the last of all to the first place
    const chip = page.getByRole('button', { name: 'Rank response 4 next' });
    await chip.scrollIntoViewIfNeeded();
    const [from, to] = [await chip.boundingBox(), await ranking.locator('.gap').first().boundingBox()];
    const fingers = await page.context().newCDPSession(page);
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', x = 0, y = 0) =>
      fingers.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x, y }] });
    const middle = (box: typeof from) => [box!.x + box!.width / 2, box!.y + box!.height / 2] as const;
    const [[x, y], [endX, endY]] = [middle(from), middle(to)];
    await touch('touchStart', x, y);
    for (let i = 1; i <= 10; i++) await touch('touchMove', x + ((endX - x) * i) / 10, y + ((endY - y) * i) / 10);
    await ranking.locator('.gap .chip').waitFor();
    await touch('touchEnd');
    const order = await until(
      async () => (await ranking.innerText()).match(/\d+/g) ?? [],
      (places) => places.length === 6,
    );
    expect(order).toEqual(['4', '12', '1', '3', '2', '11']);
    for (const key of '050607080910') await page.keyboard.press(key);
    await page.getByRole('button', { name: /Send/ }).click();
    const [{ answer, shown }] = await answersTo('rank many', 1);
    expect(shown.map((option) => answer.ranks[option])).toEqual([3, 5, 4, 1, 6, 7, 8, 9, 10, 11, 5, 2]);
    await page.context().close();
  });

  it('rates aspects by digits, one after another', async () => {
    const page = await openAt('rate');
    for (const key of ['4', '2', 'Enter']) await page.keyboard.press(key);
    const [{ answer }] = await answersTo('rate', 1);
    expect(answer).toEqual({ kind: 'rating', ratings: { helpful: 4, honest: 2 } });
    await page.context().close();
  });

  it('calls an answer good or bad, and asks for the reason that the project wants', async () => {
    const page = await openAt('binary');
    await page.keyboard.press('2');
    await page.getByText('Say why in a few words').waitFor();
    await page.keyboard.type('it is wrong');
    await page.keyboard.press('Escape');
    await page.keyboard.press('2');
    const [{ answer }] = await answersTo('binary', 1);
    expect(answer).toEqual({ kind: 'binary', good: false, reason: 'it is wrong' });
    await page.context().close();
  });

  it('corrects what is there and writes what is not', async () => {
    const page = await openAt('correct');
    await page.keyboard.press('Control+Home');
    await page.keyboard.type('Better: ');
    await page.keyboard.press('Control+Enter');
    const [corrected] = await answersTo('correct', 1);
    expect(corrected.answer.text).toMatch(/^Better: option0 of 0/);
    await page.goto(`${url}/#/label/write`);
    await page.getByLabel(/Your response/).fill(`a haiku ${SCRIPT}`);
    await page.getByRole('button', { name: /Send/ }).click();
    const [written] = await answersTo('write', 1);
    expect(written.answer).toEqual({ kind: 'demonstration', text: `a haiku ${SCRIPT}` });
    await page.context().close();
  });

  it('says how much better, by which aspects, and writes a better one; sides are those that were seen', async () => {
    const page = await openAt('strength');
    for (let i = 0; i < 3; i++) {
      await page.getByText('A better response (optional)').click();
      await page.getByLabel(/A better response/).fill('best');
      await page.getByRole('radio', { name: '1' }).check();
      await page.getByRole('button', { name: /Left is better/ }).click();
      await page.keyboard.press('8');
      await answersTo('strength', i + 1);
    }
    for (const { answer, shown } of await answersTo('strength', 3)) {
      const left = shown[0] === 0;
      expect(answer).toEqual({
        kind: 'pair',
        choice: left ? 'first' : 'second',
        strength: 3,
        better: 'best',
        aspects: { helpful: left ? 1 : 5 },
      });
    }
    await page.context().close();
  });

  it('tells after practice what is right, and after an answer what others said', async () => {
    const page = await openAt('practice');
    const left = (await page.getByRole('region', { name: 'Left' }).innerText()) === 'good';
    await page.keyboard.press(left ? '2' : '1');
    await page.getByText(`The right judgment: ${left ? 'left' : 'right'} is better (it is good)`).waitFor();
    await page.keyboard.press('4');
    await answersTo('practice', 2);
    const other = await openAt('practice', tokens[0]);
    await other.keyboard.press('1');
    await other.keyboard.press('1');
    await other.getByText('ada: both bad').waitFor();
    await page.context().close();
    await other.context().close();
  });

  it('shows what a critic finds wrong when the annotator asks, or at once, and stores whether it was seen', async () => {
    const project = await findProject(database, 'critiques');
    const rows = await database.query.selectFrom('items').select('id').where('project', '=', project.id).execute();
    const fault = `**No**: ${SCRIPT}`;
    const critiques = new Map(rows.map(({ id }) => [id, { by: 'a critic', texts: [fault, ''], found: [0.75, 0] }]));
    await setCritiques(database, project.id, critiques);
    const seen = async (count: number) => {
      await answersTo('critiques', count);
      const all = await database.query
        .selectFrom('judgments')
        .select('critiquesSeen')
        .where('project', '=', project.id)
        .orderBy('seq')
        .execute();
      return all.map(({ critiquesSeen }) => critiquesSeen);
    };
    const page = await openAt('critiques');
    const first = await prompt(page);
    const asking = page.getByText('What the model a critic finds wrong');
    await asking.waitFor();
    expect(await page.getByText('75% of its samples find a fault.').count()).toBe(0);
    await page.keyboard.press('1');
    await moved(page, first);
    expect(await seen(1)).toEqual([0]);
    const second = await prompt(page);
    await page.keyboard.press('c');
    // the text is text: neither Markdown nor HTML
    await page.getByText(fault).waitFor();
    await page.getByText('It finds nothing wrong.').waitFor();
    expect(await page.title()).not.toMatch(/hacked|^1$/);
    expect(await barriers(page)).toEqual([]);
    // who has read it has read it, whatever they do before they judge
    await page.reload();
    await asking.waitFor();
    await page.keyboard.press('1');
    await moved(page, second);
    expect(await seen(2)).toEqual([0, 1]);
    await changeSettings(database, project, { critiques: 'shown' }, null);
    const other = await openAt('critiques', tokens[0], { viewport: { width: 380, height: 800 }, colorScheme: 'dark' });
    await other.getByText('75% of its samples find a fault.').waitFor();
    expect(await barriers(other)).toEqual([]);
    await other.keyboard.press('2');
    expect(await seen(3)).toEqual([0, 1, 1]);
    await changeSettings(database, project, { critiques: 'off' }, null);
    await other.reload();
    await prompt(other);
    expect(await other.getByText('What the model a critic finds wrong').count()).toBe(0);
    for (const one of [page, other]) await one.context().close();
  });

  it('shows what a reward model prefers after one’s own judgment, or before it if the owner wants', async () => {
    const page = await openAt('suggested');
    const says = page.getByText(/^(Previous item: )?The reward model taste prefers/);
    const rightOf = async () => (await page.getByRole('region', { name: 'Right' }).innerText()) === 'better';
    expect(await says.count()).toBe(0);
    const right = await rightOf();
    await page.keyboard.press('1');
    await page
      .getByText(`Previous item: The reward model taste prefers ${right ? 'right' : 'left'}, by 1.5.`)
      .waitFor();

    const project = await findProject(database, 'suggested');
    await changeSettings(database, project, { suggestions: 'before' }, null);
    const other = await openAt('suggested', tokens[0]);
    const ahead = other.getByText(/^The reward model taste prefers/);
    // most items have it, and the record says which
    for (let i = 0; i < 8; i++) {
      const before = await prompt(other);
      const seen = await ahead.count();
      await other.keyboard.press('2');
      await answersTo('suggested', 2 + i);
      await moved(other, before);
      const { suggested } = await database.query
        .selectFrom('judgments')
        .select('suggested')
        .orderBy('seq', 'desc')
        .limit(1)
        .executeTakeFirstOrThrow();
      expect(suggested).toBe(seen);
    }
    const reviewer = await addPerson(database, 'rev', 'reviewer');
    const review = await openAt('suggested', reviewer.token);
    await review.goto(`${url}/#/quality/suggested`);
    await review.getByRole('heading', { name: 'Suggestions' }).waitFor();
    expect(await review.getByText('Shown before the judgment').count()).toBe(1);
    expect(await barriers(review)).toEqual([]);
    for (const one of [page, other, review]) await one.context().close();
  });

  it('speaks the language of the project; what is stored is the same in every language', async () => {
    const page = await openAt('deutsch');
    expect(await page.locator('main').getAttribute('lang')).toBe('de');
    expect(await page.locator('main').innerText()).not.toMatch(
      /\b(the|judg\w*|response|better|skip|send|reason|keys)\b/i,
    );
    expect(await barriers(page)).toEqual([]);
    await page.keyboard.press('?');
    await page.getByRole('button', { name: 's: Taste ändern für: überspringen' }).waitFor();
    expect(await page.getByRole('dialog').innerText()).not.toMatch(/\b(the|change|arrow|reset|close)\b/i);
    await page.keyboard.press('Escape');
    const first = await prompt(page);
    await page.keyboard.press('s');
    await page.getByRole('button', { name: 'Ich verstehe die Aufgabe nicht' }).click();
    await moved(page, first);
    await page.keyboard.press('1');
    await page.context().setOffline(true);
    await page.getByRole('button', { name: /^deutlich besser/ }).click();
    await page.getByText('Das Studio ist nicht erreichbar.').waitFor();
    await page.context().setOffline(false);
    const [skipped, judged] = await answersTo('deutsch', 2);
    expect(skipped.answer).toEqual({ kind: 'skip', reason: 'I do not understand it' });
    expect(judged.answer).toEqual({ kind: 'pair', choice: judged.shown[0] === 0 ? 'first' : 'second', strength: 2 });
    await page.context().close();
  });

  it('never gives two people at once the same last place', async () => {
    const pages = await Promise.all(tokens.map((one) => openAt('together', one)));
    const answerAll = async (page: Page) => {
      while (!(await page.getByText('No more items').isVisible())) {
        await page.keyboard.press('1');
        await page.waitForTimeout(20);
      }
    };
    await Promise.all(pages.map(answerAll));
    const given = await answersTo('together', 20);
    expect(given).toHaveLength(20);
    expect(new Set(given.map(({ item }) => item)).size).toBe(20);
    expect(new Set(given.map(({ person }) => person)).size).toBe(2);
    for (const page of pages) await page.context().close();
  });

  it('shows an item once, even if the reply that holds it comes after its judgment', async () => {
    const page = await openAt('crossing');
    const asked = new Promise<Route>((resolve) => void page.route('**/next', resolve, { times: 1 }));
    await page.keyboard.press('1');
    const route = await asked;
    const response = await route.fetch();
    await page.keyboard.press('1');
    await page.keyboard.press('1');
    await answersTo('crossing', 3);
    await page.getByText('3 judged by you', { exact: true }).waitFor();
    await route.fulfill({ response });
    await page.getByText('No more items').waitFor();
    expect(await answersTo('crossing', 3)).toHaveLength(3);
    await page.context().close();
  });

  it('changes keys in a dialog', async () => {
    const page = await openAt('rank');
    await page.keyboard.press('?');
    await page.getByRole('button', { name: /change the key of skip/ }).click();
    await page.keyboard.press('q');
    expect(await barriers(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await page.keyboard.press('q');
    await page.getByRole('button', { name: /Just skip/ }).waitFor();
    await page.context().close();
  });

  it('shows formatted text that stays text, and is usable by everybody on a phone in the dark', async () => {
    const page = await openAt('rank', token, { colorScheme: 'dark', viewport: { width: 380, height: 800 } });
    const option = page.getByRole('region', { name: 'Response 1' });
    expect(await option.getByRole('listitem').allInnerTexts()).toEqual(['one', 'two']);
    expect(await option.innerText()).toContain(SCRIPT);
    await page.keyboard.press('r');
    expect(await option.innerText()).toContain('- `two`');
    for (const [project] of projects.slice(0, 6)) {
      await page.goto(`${url}/#/label/${project}`);
      await page.getByRole('heading', { name: project }).waitFor();
      await page.waitForTimeout(200);
      expect(await barriers(page)).toEqual([]);
    }
    expect(await page.title()).toBe('heed');
    await page.context().close();
  });
});
