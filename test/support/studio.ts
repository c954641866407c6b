/** `heed studio` as a process of its own, and its pages in a real browser as tests look at them. */
import axe, { type AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeEach, expect } from 'vitest';
import { startBrowser } from './browser.ts';
import { start } from './heed.ts';

export interface StartedStudio {
  url: string;
  link: string;
  stop(): Promise<unknown>;
}

/** Of the store feedback.db in the folder. */
export async function startStudio(
  folder: string,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<StartedStudio> {
  const args = ['studio', '--store', 'feedback.db', '--port', '0', '--json', ...flags];
  const { child, says, end } = start(args, folder, env);
  let said = '';
  child.stdout!.on('data', (data) => {
    said += data;
  });
  await says('is open');
  while (!said.includes('\n')) await new Promise((resolve) => setTimeout(resolve, 20));
  const stop = () => {
    child.kill('SIGTERM');
    return end;
  };
  return { ...(JSON.parse(said) as { url: string; link: string }), stop };
}

/**
 * A page that plays clips draws ten frames a second of them and not sixty: a test that waits for a training would spend more
 * of the processor on drawing than the training does. What is no loop of frames, such as Preact's effects, comes as ever.
 */
const FEWER_FRAMES = `
  const [request, cancel] = [requestAnimationFrame.bind(window), cancelAnimationFrame.bind(window)];
  let drawing = false;
  const draw = (callback, time) => {
    drawing = true;
    try { callback(time); } finally { drawing = false; }
  };
  window.requestAnimationFrame = (callback) => drawing
    ? -setTimeout(() => draw(callback, performance.now()), 100)
    : request((time) => draw(callback, time));
  window.cancelAnimationFrame = (id) => (id < 0 ? clearTimeout(-id) : cancel(id));`;

/**
 * A browser for a file's tests, which are passed over where there is none; closed after them. The tests fail if a page did
 * what its Content-Security-Policy forbids.
 */
export async function ownBrowser(): Promise<{
  readonly browser: Browser | undefined;
  /** A page of somebody else: with cookies of its own. */
  open(address: string, options?: BrowserContextOptions): Promise<Page>;
}> {
  const browser = await startBrowser();
  beforeEach((context) => {
    if (!browser) context.skip('Chromium');
  });
  const violations: string[] = [];
  afterAll(async () => {
    await browser?.close();
    expect(violations).toEqual([]);
  });
  return {
    browser,
    async open(address, options) {
      const page = await (await browser!.newContext(options)).newPage();
      page.setDefaultTimeout(240_000);
      await page.addInitScript(`{${FEWER_FRAMES}}`);
      page.on('console', (message) => {
        if (/Content Security Policy/i.test(message.text())) violations.push(`${page.url()}: ${message.text()}`);
      });
      await page.goto(address);
      return page;
    },
  };
}

export async function until<T>(look: () => Promise<T>, right: (value: T) => boolean): Promise<T> {
  const start = performance.now();
  for (;;) {
    const value = await look();
    if (right(value) || performance.now() - start > 240_000) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Light and wide, dark and as narrow as a phone. */
export const looks: BrowserContextOptions[] = [
  { colorScheme: 'light', viewport: { width: 1200, height: 800 } },
  { colorScheme: 'dark', viewport: { width: 380, height: 800 } },
];

/** What keeps people from using a page by WCAG 2.2 AA, and whether it is wider than the window. */
export async function barriers(page: Page): Promise<[string, string][]> {
  await page.evaluate(axe.source);
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  const run = `axe.run({ runOnly: ${JSON.stringify(tags)}, resultTypes: ['violations'], selectors: false })`;
  const { violations } = (await page.evaluate(run)) as Pick<AxeResults, 'violations'>;
  const wide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
  const found = violations.map(({ id, nodes }): [string, string] => [id, nodes[0].html]);
  return wide ? [...found, ['wider than the window', page.url()]] : found;
}
