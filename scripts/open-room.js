/** Starts a training that people teach, and opens its room in Chromium: npm run build comes first. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const heed = fileURLToPath(new URL('../bin/heed.js', import.meta.url));

/** Chromium, where the machine's packages put it. */
export const launchBrowser = () =>
  chromium.launch({
    executablePath: [
      '/usr/bin/chromium-headless-shell',
      '/usr/bin/chromium',
      '/usr/bin/chromium-browser',
      '/usr/bin/google-chrome',
    ].find(existsSync),
    args: ['--no-sandbox'],
  });

/** Runs `heed` with these arguments in a folder until it prints the room's link, and opens it. */
export async function openRoom(args, folder, browserOptions = { viewport: { width: 1280, height: 720 } }) {
  const child = spawn(process.execPath, [heed, ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  while (!said.includes('#token=')) {
    await Promise.race([once(child.stderr, 'data'), ended]);
    if (child.exitCode !== null) throw new Error(said);
  }
  const browser = await launchBrowser();
  const page = await (await browser.newContext(browserOptions)).newPage();
  await page.goto(/http:\S+#token=\S+/.exec(said)[0]);
  await page.getByRole('heading', { level: 1 }).waitFor();
  return {
    page,
    async close() {
      await browser.close();
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Judges what is asked until so many judgments are made, as the page counts them. */
export async function judge(page, most) {
  const made = async () =>
    Number(/\d+/.exec((await page.locator('.count').textContent()).replace(/^All /, ''))?.[0] ?? 0);
  while ((await made()) < most) {
    if ((await page.locator('.query .option').count()) === 0) {
      await page.waitForTimeout(50);
      continue;
    }
    await page.keyboard.press('1');
    const clearly = page.getByRole('button', { name: 'clearly better' });
    if ((await clearly.count()) > 0) await clearly.click();
    await page.waitForTimeout(100);
  }
}
