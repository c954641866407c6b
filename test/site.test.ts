/** The site, built as it is published, below a path of its host; and its pages in a real browser. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { turn } from '../site/.vitepress/pages.ts';
import { ownFolder } from './support/heed.ts';
import { barriers, ownBrowser, until } from './support/studio.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const base = '/docs/heed/';
const folder = ownFolder();
let dist: string;

beforeAll(async () => {
  dist = join(folder.path, 'dist');
  const library = inject('compiled');
  cpSync(join(root, 'tsconfig.api.json'), join(library, 'tsconfig.api.json'));
  const vitepress = join(root, 'node_modules', 'vitepress', 'bin', 'vitepress.js');
  const build = ['build', 'site', '--base', base, '--outDir', dist];
  // collecting garbage from a small heap of young objects takes a fifth of the time
  await promisify(execFile)(process.execPath, ['--max-semi-space-size=128', vitepress, ...build], {
    cwd: root,
    env: { ...process.env, HEED_PACKAGE: library, NODE_ENV: 'production' },
  });
});

let pagesRead: Map<string, string> | undefined;
/** The site's pages by their paths below the base, such as reference/dpo.html. */
function readPages(): Map<string, string> {
  pagesRead ??= readDist();
  return pagesRead;
}

function readDist(): Map<string, string> {
  const names = readdirSync(dist, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'));
  const pages = names.filter((name) => name.endsWith('.html'));
  return new Map(pages.map((name) => [name, readFileSync(join(dist, name), 'utf8')]));
}

const idsOf = (html: string) => new Set([...html.matchAll(/\s(?:id|name)="([^"]+)"/g)].map(([, id]) => unescaped(id)));
const unescaped = (text: string) => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'");

/** Links of a page that lead to no file or to no place of a page. */
function brokenLinks(pages: Map<string, string>): string[] {
  const ids = new Map([...pages].map(([name, html]) => [name, idsOf(html)]));
  return [...pages].flatMap(([name, html]) =>
    [...html.matchAll(/<(?:a|link|img|script)\b[^>]*?\s(?:href|src)="([^"]*)"/g)]
      .map(([, address]) => unescaped(address))
      .filter((address) => !/^[a-z]+:/.test(address))
      .filter((address) => {
        const url = new URL(address, `http://site${base}${name}`);
        const target = decodeURI(url.pathname);
        if (!target.startsWith(base)) return true;
        const path = target.slice(base.length);
        const file = path === '' || path.endsWith('/') ? `${path}index.html` : extname(path) ? path : `${path}.html`;
        if (!existsSync(join(dist, file))) return true;
        return url.hash.length > 1 && !ids.get(file)?.has(decodeURIComponent(url.hash.slice(1)));
      })
      .map((address) => `${name}: ${address}`),
  );
}

describe('a build', () => {
  it('has no link, picture or script that leads nowhere, in its pages and in the API', () => {
    const pages = readPages();
    expect(pages.size).toBeGreaterThan(500);
    expect([...pages.keys()].filter((name) => /^api\/functions\/.*\bdpo\.html$/.test(name))).toHaveLength(1);
    expect(brokenLinks(pages)).toEqual([]);
  });

  it.each([
    ['What is the KL price for?', /pays for each nat of distance/],
    ['How many comparisons do I need?', /hundred/],
    ['Can I use my own data?', /<h1[^>]*>Use your own data/],
    ['What is a reward model?', /reward model is/i],
    ['How does DPO do without a reward model?', /DPO is a shortcut/],
    ['What does it not solve?', /Whose preferences\?/],
    ['Who invented it?', /Bradley and Terry: choices between pairs/],
    ['How do I install it?', /npm run pack:all/],
    ['I come from TRL. What is kl_coef called here?', /<code[^>]*>kl_coef<\/code>/],
    ['Can I read all of it in one file?', /the whole method in 300 lines/],
  ])('answers "%s" within two clicks from the first page', (_, answer) => {
    mainsNear ??= readMainsNear();
    expect([...mainsNear].filter(([, main]) => answer.test(main))).not.toEqual([]);
  });

  let mainsNear: Map<string, string> | undefined;
  /** What the pages say that are at most two clicks away from the first, by their paths. */
  function readMainsNear(): Map<string, string> {
    const pages = readPages();
    const linked = (name: string) =>
      [...pages.get(name)!.matchAll(/<a\b[^>]*?\shref="([^"#]+)/g)].flatMap(([, address]) => {
        const { pathname } = new URL(unescaped(address), `http://site${base}${name}`);
        const path = pathname.startsWith(base) ? decodeURI(pathname.slice(base.length)) : '';
        const file = path.endsWith('/') ? `${path}index.html` : path.replace(/(\.html)?$/, '.html');
        return path && pages.has(file) ? [file] : [];
      });
    const main = (name: string) => /<main\b.*<\/main>/s.exec(pages.get(name)!)?.[0] ?? '';
    const first = linked('index.html').filter((name) => !name.startsWith('api/'));
    const near = new Set(['index.html', ...first, ...first.flatMap(linked)]);
    return new Map([...near].map((name) => [name, main(name)]));
  }

  it('fails on a link to a file that is not there', () => {
    expect(turn('reference/dpo.md#usage', 'docs/README.md')).toBe('/reference/dpo.md#usage');
    expect(() => turn('reference/no.md', 'docs/README.md')).toThrow('docs/README.md links to reference/no.md');
  });
});

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

/** Any static host: no headers of its own. */
function serve(): Promise<Server> {
  const server = createServer(({ url }, response) => {
    const { pathname } = new URL(url!, 'http://site');
    let file = join(dist, posix.normalize(decodeURI(pathname)).slice(base.length));
    if (existsSync(file) && statSync(file).isDirectory()) file = join(file, 'index.html');
    if (!pathname.startsWith(base) || !existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' });
    response.end(readFileSync(file));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

describe('in a browser', async () => {
  const { open } = await ownBrowser();
  let server: Server;
  let address: string;
  beforeAll(async () => {
    server = await serve();
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}${base}`;
  });
  afterAll(() => server?.close());

  // the service worker fetches the whole demo, 30 MB, for each new visitor: what is not about it keeps it out
  const online = { serviceWorkers: 'block' } as const;
  const light = { colorScheme: 'light', viewport: { width: 1280, height: 900 }, ...online } as const;
  const phone = { colorScheme: 'dark', viewport: { width: 390, height: 800 }, ...online } as const;

  // one page of each kind in both looks, its sisters in one of them: a look takes two seconds of the processor
  it.each([
    ['', 'Teach a machine', [light, phone]],
    ['reference/dpo.html', 'DPO', [phone]],
    ['explanation/history.html', 'history', [light]],
    ['explanation/how-it-works.html', 'five minutes', [light, phone]],
    ['explanation/microrlhf.html', 'microrlhf', [phone]],
    ['course/01-bradley-terry.html', 'From a choice to a number', [light, phone]],
    ['course/notebook.html', 'cell by cell', [light]],
    ['api/index.html', 'heed', [light]],
    ['api/modules/lm.html', 'Module lm', [phone]],
    ['api/functions/align.dpo.html', 'Function dpo', [light, phone]],
  ])('/%s has no barrier, no error and no request to another host', async (path, heading, looks) => {
    for (const look of looks) {
      const page = await open('about:blank', look);
      const wrong: string[] = [];
      page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
      page.on('pageerror', ({ message }) => wrong.push(message));
      page.on('request', (request) => {
        if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(address)) wrong.push(request.url());
      });
      const fetched: Promise<number>[] = [];
      page.on('response', (response) =>
        fetched.push(
          response.body().then(
            ({ length }) => length,
            () => 0, // it has none
          ),
        ),
      );
      await page.goto(address + path, { waitUntil: 'networkidle' });
      const bytes = (await Promise.all(fetched)).reduce((sum, length) => sum + length, 0);
      expect(bytes).toBeLessThan(5e6); // uncompressed, as this server sends it
      expect(await page.getByRole('heading', { level: 1 }).innerText()).toMatch(new RegExp(heading, 'i'));
      expect(await barriers(page)).toEqual([]);
      expect(wrong).toEqual([]);
      await page.context().close();
    }
  });

  it('finds a term', async () => {
    const page = await open(address, online);
    // the page listens to keys only once its script has run
    const field = page.getByRole('searchbox');
    await until(async () => {
      await page.keyboard.press('Control+k');
      return field.isVisible();
    }, Boolean);
    await field.fill('Bradley–Terry');
    await page.locator('.results .result', { hasText: 'Bradley–Terry' }).first().waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\.html/);
    await page.context().close();
  });

  it('works offline once it was loaded, with its demo', async () => {
    const page = await open(address);
    const engine =
      'caches.keys().then(async ([name]) => name !== undefined && ' +
      '(await (await caches.open(name)).keys()).some(({ url }) => url.endsWith(".wasm")))';
    expect(await until(() => page.evaluate<boolean>(engine), Boolean)).toBe(true);
    await page.goto(`${address}reference/dpo.html`, { waitUntil: 'networkidle' });
    await page.context().setOffline(true);
    await page.goto(address);
    await page.locator('heed-cartpole').getByRole('button', { name: 'Start' }).click();
    await page.getByRole('button', { name: 'Left is better' }).waitFor();
    for (const [path, heading] of [
      ['', /Teach a machine/],
      ['reference/dpo.html', /DPO/],
    ] as const) {
      await page.goto(address + path);
      expect(await page.getByRole('heading', { level: 1 }).innerText()).toMatch(heading);
    }
    await page.context().close();
  });

  it('learns from ten choices until the pole stands, and goes on from there when the reader prefers it tilted', {
    tags: 'proof',
  }, async () => {
    const page = await open(`${address}#seed=0&steps=60000`, online);
    await page.locator('heed-cartpole').getByRole('button', { name: 'Start' }).click();
    const demo = page.locator('heed-cartpole');
    const clips = demo.getByRole('group', { name: 'Two clips' }).getByRole('img');
    /** Compares pairs as a reader does who gives a clip so many points, until the demo has no more. */
    async function choose(most: number, points: (clip: { steps: number; degrees: number; falls: boolean }) => number) {
      const look = async (clip: Locator) => {
        const text = (await clip.getAttribute('aria-label'))!;
        const [steps, degrees] = text.match(/[\d.]+/g)!.map(Number);
        return points({ steps, degrees, falls: text.includes('falls') });
      };
      const said = () => demo.locator('.say').innerText();
      for (let choice = 1; choice <= most; choice++) {
        const text = await until(said, (line) => line.includes(`(${choice} of `) || / s of training/.test(line));
        if (text.includes(' s of training')) return;
        const [left, right] = [await look(clips.first()), await look(clips.last())];
        const key = left > right ? 'ArrowLeft' : 'ArrowRight';
        await page.keyboard.press(Math.abs(left - right) < 0.5 ? 'ArrowDown' : key);
      }
    }
    const agent = async () => {
      const text = await demo.locator('.now-caption').innerText();
      const [, when, steps, degrees] = text.match(/^The agent (.*): (\d+) of 500 steps; the pole leans ([\d.]+)°/)!;
      return { when, steps: Number(steps), degrees: Number(degrees) };
    };

    await choose(10, ({ steps, degrees, falls }) => (falls ? steps - 100 : 0) - degrees);
    await demo.getByRole('button', { name: 'Pause' }).click();
    const steps = async () => (await demo.locator('.say').innerText()).match(/\d+ of 60000/)?.[0];
    const at = await until(steps, (text) => text !== undefined);
    await demo.getByRole('button', { name: 'One step' }).click();
    await until(steps, (text) => text !== at);
    await demo.getByRole('button', { name: 'Go on' }).click();
    await demo.getByText('The pole stands. After 10 answers').waitFor({ timeout: 0 });
    expect(await demo.getByRole('img', { name: 'Map of the learned reward' }).isVisible()).toBe(true);
    const upright = await agent();
    expect(upright.degrees).toBeLessThan(1.5);

    await demo.getByRole('button', { name: 'Change my mind' }).click();
    await demo.getByText('the pole leans further and does not fall. (1 of at most 30)').waitFor();
    expect(await agent()).toEqual({ ...upright, when: 'before it relearns' }); // the policy goes on from what it is
    await choose(30, ({ degrees, falls }) => {
      expect(falls, 'a clip that falls').toBe(false);
      return degrees;
    });
    await demo.getByText('You changed its mind: it stands, tilted.').waitFor({ timeout: 0 });
    const tilted = await agent();
    expect(tilted.degrees).toBeGreaterThan(upright.degrees + 1);
    expect(page.url()).toMatch(/#seed=0&steps=60000$/);
    await page.context().close();
  });

  const writer = (page: Page) => page.locator('heed-writer');
  /** Starts the demo that writes, and waits for its first question. Its models are fetched then, and not before. */
  async function startWriter(page: Page): Promise<void> {
    const models: string[] = [];
    page.on('request', (request) => request.url().includes('.safetensors') && models.push(request.url()));
    await page.goto(address);
    const start = writer(page).getByRole('button', { name: 'Start' });
    await start.waitFor();
    expect(models).toEqual([]);
    await start.click();
    await writer(page)
      .getByText(/\(\d+ of 10\)/)
      .waitFor({ timeout: 0 });
    expect(models).not.toEqual([]);
  }

  it('loads the demo that writes only when it starts, and asks which of two reviews is better', async () => {
    const page = await open('about:blank', online);
    await startWriter(page);
    const [left, right] = await writer(page).getByRole('group', { name: 'Two reviews' }).locator('q').allInnerTexts();
    expect(left).not.toBe(right);
    expect(await barriers(page)).toEqual([]);
    await page.context().close();
  });

  it('writes what the reader likes after ten choices, and says what became of them', { tags: 'proof' }, async () => {
    const page = await open('about:blank', online);
    await startWriter(page);
    const reviews = writer(page).getByRole('group', { name: 'Two reviews' }).locator('q');
    const said = () => writer(page).locator('.say').innerText();
    // a reader who prefers the shorter review
    for (let text = await said(); text.includes(' of 10)'); text = await until(said, (line) => line !== text)) {
      const [left, right] = await reviews.allInnerTexts();
      expect(left).not.toBe(right);
      await page.keyboard.press(left.length < right.length ? 'ArrowLeft' : 'ArrowRight');
    }
    await writer(page)
      .getByText(/^What you chose has [\d.]+ .*, what you rejected [\d.]+\. .* in \d+ of \d+ pairs\./)
      .waitFor({ timeout: 0 });
    expect(await writer(page).getByRole('definition').allInnerTexts()).toEqual([
      expect.stringMatching(/\w/),
      expect.stringMatching(/\w/),
    ]);
    expect(await barriers(page)).toEqual([]);
    await page.context().close();
  });

  it('draws the comparison of algorithms from its table, and answers what KL costs', async () => {
    const page = await open(`${address}explanation/algorithms.html`, online);
    const comparison = page.locator('heed-comparison');
    await comparison.getByText('If KL costs nothing, ppo is best with 5.41').waitFor();
    await comparison.getByRole('slider').fill('0.3');
    await comparison.getByRole('radio', { name: 'comparisons', exact: true }).check();
    await comparison.getByText('If a nat of KL costs 0.30, dpo is best with').waitFor();
    expect(await comparison.getByRole('link').allTextContents()).toEqual(['dpo', 'cpo (SimPO)', 'orpo']);
    expect(await barriers(page)).toEqual([]);
    await page.context().close();
  });

  it('trains a language model in lesson 10, stays responsive, and stops', async () => {
    const page = await open(`${address}course/10-over-optimization.html`, online);
    const figure = page.locator('heed-embedded-world');
    await figure.getByText('Nothing is computed yet').waitFor();
    await figure.getByRole('button', { name: 'Train it in this page' }).click();
    await figure.getByText(/^Step 1 of 24/).waitFor({ timeout: 0 });
    expect(await figure.locator('p').innerText()).toMatch(/the proxy says −?\d+\.\d+ and gold is −?\d+\.\d+/);
    expect(await figure.locator('blockquote').innerText()).toMatch(/^Step \d+ writes: “.+”$/);
    expect(page.workers()).not.toEqual([]); // not in the page's own thread; the bench measures how responsive it is
    expect(await barriers(page)).toEqual([]);
    await figure.getByRole('button', { name: 'Stop' }).click();
    await figure.getByText('Stopped.').waitFor();
    await page.context().close();
  });

  describe('an exercise', () => {
    const lesson = 'course/01-bradley-terry.html';
    const solution = () => readFileSync(join(root, 'course', 'lessons', '01-bradley-terry', 'solution.ts'), 'utf8');
    /** Waits until all that stands above the editor is drawn: a click on a button that still moves hits nothing. */
    async function settled(page: Page): Promise<void> {
      await page.getByRole('button', { name: 'Check' }).waitFor();
      await page.waitForFunction('!document.querySelector(":is(heed-figure, heed-embedded-world):empty")');
    }
    const state = (page: Page) => page.locator('heed-exercise').getByRole('status');
    async function check(page: Page, code?: string): Promise<void> {
      await settled(page);
      if (code !== undefined) {
        await page.getByRole('textbox', { name: 'Your code' }).click();
        await page.keyboard.press('Control+a');
        await page.keyboard.insertText(code);
      }
      const before = await state(page).innerText();
      // a figure that grows on a busy machine moves the button: people click again then
      do await page.getByRole('button', { name: 'Check' }).click();
      while ((await state(page).innerText()) === before);
      await page.getByRole('button', { name: 'Check' }).waitFor({ timeout: 0 }); // Stop, while the checks run
    }

    it('fails as it stands, passes with the solution, and keeps the code', async () => {
      const page = await open(address + lesson, online);
      await check(page);
      expect(await state(page).innerText()).toBe('Line 6: This is still to be written.');
      expect(await page.getByRole('list', { name: 'Results' }).innerText()).toContain('✗ equal rewards give one half');
      await check(page, solution());
      expect(await state(page).innerText()).toBe('All checks pass.');
      await page.reload();
      await settled(page);
      expect(await page.getByRole('textbox', { name: 'Your code' }).innerText()).toContain('const odds');
      await page.getByRole('button', { name: 'Reset' }).click();
      expect(await page.getByRole('textbox', { name: 'Your code' }).innerText()).toContain('write me');
      await page.goto(`${address}course/`);
      await page.getByText('✓ passed').waitFor();
      await page.context().close();
    });

    // course.test.ts fails every lesson's exercise as it stands
    it('of every lesson is shown as it stands, and passes with its solution', async () => {
      const page = await open(address, online);
      for (const name of readdirSync(join(root, 'course', 'lessons')).sort()) {
        await page.goto(`${address}course/${name}.html`);
        await settled(page);
        const exercise = readFileSync(join(root, 'course', 'lessons', name, 'exercise.ts'), 'utf8');
        const [firstLine] = exercise.match(/^export .*/m)!;
        expect(await page.getByRole('textbox', { name: 'Your code' }).innerText(), name).toContain(firstLine);
        expect(await page.locator('heed-figure').locator('input, button').count(), name).toBeGreaterThan(0);
        await check(page, readFileSync(join(root, 'course', 'lessons', name, 'solution.ts'), 'utf8'));
        expect(await state(page).innerText(), name).toBe('All checks pass.');
      }
      await page.context().close();
    });

    it('is told where the code does not compile, and that a loop does not end', async () => {
      const page = await open(address + lesson, online);
      await check(page, 'export function probability() {\n  return 1 +;\n}\n');
      expect(await state(page).innerText()).toMatch(/^Line 2: It does not compile/);
      await check(page, 'export function probability() {\n  for (;;);\n}\nexport const segmentProbability = 0;\n');
      expect(await state(page).innerText()).toMatch(/did not end within 5 s/);
      await page.context().close();
    });

    it('gives hints one by one, and the solution only when asked again', async () => {
      const page = await open(address + lesson, online);
      await settled(page);
      await page.getByRole('button', { name: 'Hint 1 of 3' }).click();
      await page.getByRole('button', { name: 'Hint 2 of 3' }).click();
      expect(await page.getByRole('list', { name: 'Hints' }).getByRole('listitem').count()).toBe(2);
      await page.getByRole('button', { name: 'Solution' }).click();
      expect(await page.getByText('Try to get stuck first').isVisible()).toBe(true);
      await page.getByRole('button', { name: 'Show it' }).click();
      expect(await page.getByRole('textbox', { name: 'The solution' }).innerText()).toContain('const odds');
      await page.context().close();
    });

    it('says why it cannot run in a browser without workers', async () => {
      const page = await open('about:blank', online);
      await page.addInitScript('delete window.Worker');
      await page.goto(address + lesson);
      await page.getByText('It needs web workers, which this browser lacks or blocks').waitFor();
      await page.context().close();
    });
  });
});
