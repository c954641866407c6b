/** Texts as models write them, on wide and on narrow pages: formatted, in any direction, of any length, and harmless. */
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
} from '../src/feedback/index.ts';
import { ownFolder } from './support/heed.ts';
import { barriers, looks, ownBrowser, startStudio, until } from './support/studio.ts';

const folder = ownFolder();
const { browser, open } = await ownBrowser();
let database: Database;
let url: string;
let stop: () => Promise<unknown>;

/** Each would change the page's title, or ask somebody else, if anything in it were taken for more than text. */
const ATTACKS = [
  `<img src=x onerror="document.title='hacked'">`,
  `<script>document.title='hacked'</script>`,
  `<svg onload="document.title='hacked'">`,
  `<iframe srcdoc="<script>parent.document.title='hacked'</script>"></iframe>`,
  `<details open ontoggle="document.title='hacked'">`,
  `<style>@import 'https://attack.invalid/a.css'</style>`,
  `[a link](javascript:document.title='hacked')`,
  `[a link](&#106;avascript:document.title='hacked')`,
  `[a link](JaVaScRiPt:document.title='hacked')`,
  `[a link](data:text/html;base64,PHNjcmlwdD5wYXJlbnQuZG9jdW1lbnQudGl0bGU9J2hhY2tlZCc8L3NjcmlwdD4=)`,
  `[a link](vbscript:document.title='hacked')`,
  `<javascript:document.title='hacked'>`,
  `![a picture](https://attack.invalid/seen.png)`,
  `![a picture](javascript:document.title='hacked')`,
  `![a picture](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImRvY3VtZW50LnRpdGxlPSdoYWNrZWQnIi8+)`,
  `![x" onerror="document.title='hacked'](data:image/png;base64,AA==)`,
  `[x]: javascript:document.title='hacked'\n\n[x]`,
  `[title](https://ok.invalid "x\\" onmouseover=\\"document.title='hacked'")`,
  `\`\`\`html" onload="document.title='hacked'\n<img src=x onerror=document.title='hacked'>\n\`\`\``,
  `\`\`\`js\nconst x = "</code><img src=x onerror=document.title='hacked'>";\n\`\`\``,
  `$\\href{javascript:document.title='hacked'}{x}$`,
  `$\\htmlData{x=" onclick="document.title='hacked'}{x}$`,
  `$\\includegraphics{https://attack.invalid/seen.png}$`,
  `$$\\def\\x{\\x\\x}\\x$$`,
  `$\\rule{1000em}{1000em}$`,
  `[^1]\n\n[^1]: <img src=x onerror="document.title='hacked'">`,
  `| <img src=x onerror=document.title='hacked'> |\n|---|\n| [x](javascript:document.title='hacked') |`,
  `- [ ] <img src=x onerror=document.title='hacked'>`,
  `[fine](https://fine.invalid/)`,
  `&lt;img src=x onerror=document.title='hacked'&gt;`,
  `\u202Egnp.exe <a href="//attack.invalid">x</a>`,
];

const FORMATTED = `# A large heading
### A small one

A **bold** and ~~struck~~ text with \`code\`, a note[^1] and $x^2 + \\frac{1}{2}$.

1. one
   - inside
2. two

- [x] done
- [ ] open

| Fruit | Price |
|:------|------:|
| Apple | 1.20 |

---

\\[ \\int_0^1 x\\,dx = \\tfrac12 \\]

\`\`\`js
const answer = 42; // ${'long '.repeat(80)}
\`\`\`

> quoted

See [the docs](https://docs.invalid/page). It costs $5 and $6.

[^1]: The note.`;

const MIXED = 'An English paragraph.\n\nهذه فقرة بالعربية.\n\n这是中文段落。\n\n- עברית\n- English';
const WORD = 'a'.repeat(2000);

beforeAll(async () => {
  if (!browser) return;
  database = await openDatabase(join(folder.path, 'feedback.db'));
  const text = (text: string) => ({ kind: 'text' as const, text });
  const make = async (name: string, pairs: readonly (readonly [string, string])[]) => {
    const project = await createProject(database, name, { goldShare: 0, overlap: 50 });
    await addItems(
      database,
      project,
      pairs.map(([a, b], n) => ({ content: { prompt: `${name} ${n}`, options: [text(a), text(b)] } })),
    );
  };
  await make('formatted', [[FORMATTED, FORMATTED.replace('1.20', '1.80')]]);
  await make('attacks', [[ATTACKS.join('\n\n'), ATTACKS.toReversed().join('\n\n')]]);
  await make('mixed', [[MIXED, WORD]]);
  await make('differ', [['The cat sat on the mat.', 'The dog sat on a mat.']]);
  const paragraph = 'Some **words** with `code` and [a link](https://x.invalid), again and again.\n\n';
  const long = paragraph.repeat(400).slice(0, 30_000);
  await make('long', [
    [long, `${long.slice(0, -10)}the end`],
    [`second ${long}`, `third ${long}`],
  ]);
  await make('plain', [[`İ ${'An ordinary sentence. '.repeat(1200)}Here it is.`, 'short']]);
  const asked = await createProject(database, 'asked', { goldShare: 0 });
  await addItems(database, asked, [{ content: { prompt: long, options: [text('one'), text('other')] } }]);
  const { person } = await addPerson(database, 'ada');
  await joinProjects(database, person, ['formatted', 'attacks', 'mixed', 'differ', 'long']);
  ({ url, stop } = await startStudio(folder.path));
});
afterAll(async () => {
  await stop?.();
  await database?.close();
});

/** The page of a project, opened by somebody new. */
async function openAt(project: string, options?: BrowserContextOptions): Promise<Page> {
  const { person, token } = await addPerson(database, crypto.randomUUID());
  await joinProjects(database, person, [project]);
  const page = await open(`${url}/#token=${token}`, options);
  await page.getByRole('heading', { name: 'Projects' }).waitFor();
  await page.goto(`${url}/#/label/${project}`);
  await page.getByRole('region', { name: 'Prompt' }).waitFor();
  return page;
}

const phone: BrowserContextOptions = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const isWide = (page: Page) => page.evaluate<boolean>('document.documentElement.scrollWidth > innerWidth');

describe('formatted text', () => {
  it('has headings, lists, tasks, tables, notes, formulas, colored code and quotes', async () => {
    const page = await openAt('formatted');
    const left = page.getByRole('region', { name: 'Left' });
    expect(await left.getByRole('heading').allInnerTexts()).toEqual(['A large heading', 'A small one']);
    const sizes = await page.evaluate<string[]>(
      "[...document.querySelectorAll('.option.a .heading')].map((one) => getComputedStyle(one).fontSize)",
    );
    expect(Number.parseFloat(sizes[0])).toBeGreaterThan(Number.parseFloat(sizes[1]));
    expect(await left.locator('ol > li').first().locator('ul > li').innerText()).toBe('inside');
    expect(await left.getByRole('img', { name: 'done', exact: true }).count()).toBe(1);
    expect(await left.getByRole('img', { name: 'not done' }).count()).toBe(1);
    expect(await left.getByRole('cell').first().innerText()).toBe('Apple');
    expect(await left.locator('s').innerText()).toBe('struck');
    expect(await left.locator('.footnotes li').innerText()).toContain('The note.');
    await left.locator('.formula .katex').first().waitFor();
    expect(await left.locator('.formula.block .katex-display').count()).toBe(1);
    expect(await left.innerText()).toContain('It costs $5 and $6.');
    await left.locator('pre .hljs-keyword').waitFor();
    await page.context().close();
  });

  it('opens a link only if somebody means it, and not in place of the work', async () => {
    const page = await openAt('formatted');
    const asked: string[] = [];
    page.on('dialog', (dialog) => {
      asked.push(dialog.message());
      void dialog.dismiss();
    });
    await page.getByRole('region', { name: 'Left' }).getByRole('link', { name: 'the docs' }).click();
    expect(asked).toEqual(['Open https://docs.invalid/page in another tab?']);
    expect(page.context().pages()).toHaveLength(1);
    await page.context().close();
  });

  it('executes nothing and asks nobody: the attacks are text', async () => {
    const page = await openAt('attacks');
    const asked: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith('data:')) asked.push(request.url());
    });
    const option = page.getByRole('region', { name: 'Left' });
    await option.locator('.formula .katex').first().waitFor();
    await option.locator('pre .hljs-string').first().waitFor();
    for (const way of ['r', 'r', 'd', 'd']) await page.keyboard.press(way);
    await option.locator('.formula .katex').first().waitFor();
    const text = await option.innerText();
    for (const sign of ['<script>', '<svg onload', '<iframe', '<style>', '<details open']) expect(text).toContain(sign);
    expect(
      await option.locator('script, svg[onload], iframe, style, a[href^="javascript" i], object, embed').count(),
    ).toBe(0);
    const handlers = `[...document.querySelectorAll('.option *')].flatMap((one) => one.getAttributeNames()).filter((name) => name.startsWith('on'))`;
    expect(await page.evaluate(handlers)).toEqual([]);
    const addresses = await page.evaluate<string[]>(
      "[...document.querySelectorAll('.option a')].map((one) => one.protocol)",
    );
    expect(new Set(addresses)).toEqual(new Set(['https:']));
    expect(await page.title()).toBe('heed');
    expect(asked).toEqual([]);
    await page.context().close();
  });

  it('reads each paragraph in the direction of its letters', async () => {
    const page = await openAt('mixed');
    const directions = await page.evaluate<[string, string][]>(
      "[...document.querySelectorAll('.option p, .option li')].map((one) => [one.textContent.slice(0, 4), getComputedStyle(one).direction])",
    );
    expect(directions).toContainEqual(['An E', 'ltr']);
    expect(directions).toContainEqual(['هذه ', 'rtl']);
    expect(directions).toContainEqual(['这是中文', 'ltr']);
    expect(directions).toContainEqual(['עברי', 'rtl']);
    expect(await isWide(page)).toBe(false); // a word of 2000 letters
    await page.context().close();
  });
});

it('shows by a key which words differ between two responses', async () => {
  const page = await openAt('differ');
  await page.keyboard.press('d');
  const marked = async (side: string) =>
    (await page.locator(`mark.only-${side}`).allInnerTexts()).map((one) => one.trim());
  const [left, right] = [await marked('a'), await marked('b')];
  expect([left, right].toSorted()).toEqual(
    [
      ['cat', 'the'],
      ['dog', 'a'],
    ].toSorted(),
  );
  await page.keyboard.press('d');
  expect(await page.locator('mark').count()).toBe(0);
  await page.context().close();
});

describe('long texts', () => {
  /** How far each box is scrolled, as a share of its text. */
  const shares = (page: Page) =>
    page.evaluate<number[]>(
      "[...document.querySelectorAll('.option')].map((one) => one.scrollTop / (one.scrollHeight - one.clientHeight))",
    );

  it('scroll together until somebody unties them', async () => {
    const page = await openAt('long');
    const left = page.getByRole('region', { name: 'Left' });
    await left.hover();
    await page.mouse.wheel(0, 2500);
    const tied = await until(
      () => shares(page),
      ([a, b]) => a > 0 && Math.abs(a - b) < 0.02,
    );
    expect(tied[0]).toBeGreaterThan(0);
    expect(Math.abs(tied[0] - tied[1])).toBeLessThan(0.02);
    await page.getByRole('button', { name: 'Scroll together' }).click();
    await left.hover();
    await page.mouse.wheel(0, -5000);
    const [a, b] = await until(
      () => shares(page),
      ([a]) => a === 0,
    );
    expect([a, b > 0]).toEqual([0, true]);
    await page.context().close();
  });

  it('are searched for words, however they are formatted, and shown where they were found', async () => {
    const page = await openAt('long');
    const field = page.getByRole('searchbox');
    await field.fill('SOME words  with code');
    const status = page.locator('.long-texts [role=status]');
    const found = await until(async () => /of (\d+)/.exec(await status.innerText())?.[1], Boolean);
    expect(Number(found)).toBeGreaterThan(500);
    for (const [key, place] of [
      ['Enter', 1],
      ['Enter', 2],
      ['Shift+Enter', 1],
      ['Shift+Enter', Number(found)],
    ] as const) {
      await field.press(key);
      await status.getByText(`${place} of ${found}`, { exact: true }).waitFor();
    }
    await field.fill('the end');
    await field.press('Enter');
    await status.getByText('1 of 1', { exact: true }).waitFor();
    const inView = `(() => {
      const [place] = CSS.highlights.get('found-here');
      const { top } = place.getBoundingClientRect();
      const box = place.startContainer.parentElement.closest('.option').getBoundingClientRect();
      return top > box.top && top < box.bottom;
    })()`;
    expect(await until(() => page.evaluate<boolean>(inView), Boolean)).toBe(true);
    // as they were written, the same words stand elsewhere
    await field.fill('and again');
    const formatted = await until(
      () => status.innerText(),
      (text) => text.includes(' of ') && text !== '1 of 1',
    );
    await field.blur();
    await page.keyboard.press('r');
    await page.locator('.option p.text').first().waitFor();
    await status.getByText(formatted, { exact: true }).waitFor();
    const connected = "[...CSS.highlights.get('found')].every((one) => one.startContainer.isConnected)";
    expect(await until(() => page.evaluate<boolean>(connected), Boolean)).toBe(true);
    await page.context().close();
  });

  it('are shown at what was found where all is one paragraph, and letters change their number in lower case', async () => {
    const page = await openAt('plain', { viewport: { width: 1200, height: 800 } });
    const field = page.getByRole('searchbox');
    await field.fill('here it is.');
    await field.press('Enter');
    const text = "[...(CSS.highlights.get('found-here') ?? [])].join()";
    expect(await until(() => page.evaluate<string>(text), Boolean)).toBe('Here it is.');
    const shared = async () => (await shares(page)).find((one) => !Number.isNaN(one)) ?? 0;
    expect(await until(shared, (share) => share > 0.9)).toBeGreaterThan(0.9);
    await page.context().close();
  });

  it('fold if they are the prompt', async () => {
    const page = await openAt('asked');
    const prompt = page.getByRole('region', { name: 'Prompt' });
    const height = async () => (await prompt.boundingBox())!.height;
    expect(await height()).toBeLessThan(450);
    await page.getByRole('button', { name: 'Show all' }).click();
    expect(await height()).toBeGreaterThan(2000);
    await page.getByRole('button', { name: 'Show less' }).click();
    expect(await height()).toBeLessThan(450);
    await page.context().close();
  });
});

describe('a page', () => {
  it('begins the next item at its top, with the choices at the bottom of the window all the time', async () => {
    for (const options of [undefined, phone]) {
      const page = await openAt('long', options);
      const bottom = () =>
        page.evaluate<number>(
          "Math.round(innerHeight - document.querySelector('.actions:not([hidden])').getBoundingClientRect().bottom)",
        );
      expect(await bottom()).toBe(0);
      await page.evaluate('scrollTo(0, 5000)');
      expect(await bottom()).toBe(0);
      const before = await page.getByRole('region', { name: 'Prompt' }).innerText();
      await page.getByRole('button', { name: options ? /^Above is better/ : /^Left is better/ }).click();
      await until(
        () => page.getByRole('region', { name: 'Prompt' }).innerText(),
        (now) => now !== before,
      );
      expect(await page.evaluate('scrollY')).toBe(0);
      await page.context().close();
    }
  });

  it('is never wider than a phone: long code scrolls in its own box', async () => {
    for (const project of ['formatted', 'mixed', 'attacks', 'long']) {
      const page = await openAt(project, phone);
      await page.waitForTimeout(300);
      expect([project, await isWide(page)]).toEqual([project, false]);
      if (project === 'formatted') {
        const scrolls = "[...document.querySelectorAll('.option pre')].map((one) => one.scrollWidth > one.clientWidth)";
        expect(await page.evaluate(scrolls)).toEqual([true, true]);
        const desktop = await openAt(project);
        const widths = await desktop.evaluate<number[]>(
          "[...document.querySelectorAll('.option')].map((one) => one.offsetWidth)",
        );
        expect(widths[0]).toBe(widths[1]);
        await desktop.context().close();
      }
      await page.context().close();
    }
  });

  it('is usable by everybody with such texts: WCAG 2.2 AA by axe, light and dark, wide and on a phone', async () => {
    for (const look of looks) {
      const page = await openAt('formatted', look);
      await page.locator('.formula .katex').first().waitFor();
      expect(await barriers(page)).toEqual([]);
      await page.context().close();
    }
  });
});
