/** A person teaches an agent: clips compared in a real browser, by keyboard, while the agent trains. */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { startBrowser } from './support/browser.ts';
import { ownFolder, type Running, start } from './support/heed.ts';

const folder = ownFolder();
const browser: Browser | undefined = await startBrowser();
beforeEach((context) => {
  if (!browser) context.skip();
});
afterAll(() => browser?.close());

/** Opens the page that a training tells of, where its questions are. */
async function sitDown({ says, stderr }: Running): Promise<Page> {
  await says('#token=');
  const link = /http:\S+#token=\S+/.exec(stderr())![0];
  const page = await (await browser!.newContext()).newPage();
  await page.goto(link);
  await page.getByRole('link', { name: /CartPole/ }).click();
  return page;
}

/** Whoever looks: prefers the pole that stands longer, as the page shows it, until the training ends or enough is said. */
async function compare(page: Page, over: Promise<unknown>, most = Number.POSITIVE_INFINITY): Promise<number> {
  let ended = false;
  over.then(() => {
    ended = true;
  });
  for (let said = 0; ; ) {
    if (ended || said === most) return said;
    const labels = await page.locator('canvas').evaluateAll((all) => all.map((one) => one.ariaLabel ?? ''));
    const [left, right] = labels.map((label) => Number(/(\d+) frames/.exec(label)?.[1]));
    if (left === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      continue;
    }
    await page.keyboard.press(left > right ? '1' : left < right ? '2' : '3');
    said++;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('heed train --teacher human', () => {
  it('teaches CartPole until it stands, with no more than 30 answers', async () => {
    const run = join(folder.path, 'taught');
    const flags = ['--teacher', 'human', '--labels', '30', '--out', run, '--json'];
    const training = start(['train', '--env', 'CartPole-v1', ...flags], folder.path);
    const page = await sitDown(training);
    const said = await compare(page, training.end);
    const { code, stdout, stderr } = await training.end;
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const result = JSON.parse(stdout);
    console.log(said, result);
    expect(result.labels).toBeLessThanOrEqual(30);
    expect(result.return.mean).toBeGreaterThanOrEqual(475);
  });
});
