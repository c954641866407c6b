/** A conversation outlives the page's reload and the studio's end. */
import { afterAll, expect, it } from 'vitest';
import { startBrowser } from './support/browser.ts';
import { ownFolder } from './support/heed.ts';
import { startStudio } from './support/studio.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const browser = await startBrowser();
afterAll(() => browser?.close());

it.skipIf(!browser)(
  'goes on with the same answers after a reload, and in a studio that was started anew (needs Chromium)',
  async () => {
    const model = smallModel();
    const flags = ['--model', model, '--max-tokens', '12'];
    const first = await startStudio(folder.path, flags);
    const page = await browser!.newPage();
    await page.goto(first.link);
    await page.getByRole('link', { name: 'Chat' }).click();
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByLabel(/Your first message/).fill('How are you?');
    await page.keyboard.press('Enter');
    const choice = page.getByRole('button', { name: /Left is better/ });
    await choice.waitFor();
    const left = await page.getByRole('region', { name: 'Left' }).innerText();
    await first.stop();
    const second = await startStudio(folder.path, [...flags, '--port', new URL(first.url).port]);
    try {
      await page.reload();
      await choice.waitFor();
      expect(await page.getByRole('region', { name: 'Left' }).innerText()).toBe(left);
      expect(await page.getByRole('region', { name: 'Prompt' }).innerText()).toContain('How are you?');
      await choice.click();
      await page.getByText('1 judgment saved').waitFor();
      await page.reload();
      await page.getByText('1 judgment saved').waitFor();
      expect(await page.getByRole('region', { name: 'Prompt' }).innerText()).toContain(left.trim().split('\n')[0]);
    } finally {
      await second.stop();
    }
  },
);
