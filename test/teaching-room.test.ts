/** The teaching room in a real browser: somebody teaches an agent or a model and believes every sentence on the page. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { heed, ownFolder, type Running, rowsOf, start } from './support/heed.ts';
import { barriers, ownBrowser, until } from './support/studio.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const { open } = await ownBrowser();
const wide = { width: 1280, height: 720 };
const phone = { width: 390, height: 844 };

async function linkOf({ says, stderr }: Running): Promise<string> {
  await says('#token=');
  return /http:\S+#token=\S+/.exec(stderr())![0];
}

/** What the screen shows: nothing here looks behind it. */
interface Screen {
  goal: string;
  /** What happens at the moment. */
  doing: string;
  count: string;
  /** Whether there is a question. */
  asks: boolean;
  /** Frames of the two clips; empty without a question, or for texts. */
  frames: number[];
  alerts: string[];
  /** Whether one would have to scroll. */
  scrolls: boolean;
}

const look = (page: Page): Promise<Screen> =>
  page.evaluate(`(() => {
    const textOf = (selector) => document.querySelector(selector)?.textContent ?? '';
    const { scrollHeight, scrollWidth } = document.documentElement;
    return {
      goal: textOf('h1'),
      doing: textOf('.doing'),
      count: textOf('.count'),
      asks: document.querySelector('.query .option') !== null,
      frames: [...document.querySelectorAll('.query .option canvas')].map((clip) => parseInt(/\\d+ frames/.exec(clip.ariaLabel))),
      alerts: [...document.querySelectorAll('[role=alert]')].map(({ textContent }) => textContent),
      scrolls: scrollHeight > innerHeight || scrollWidth > innerWidth,
    };
  })()`);

const numberIn = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1].replaceAll(',', ''));

/** What cannot be true at once. */
function falsehoods(screen: Screen, wanted: number, rows: readonly Record<string, number>[]): string[] {
  const { doing, count, asks, alerts, scrolls } = screen;
  const wrong = [...alerts];
  const [made, left] = [numberIn(count, /^(\d+) of/), numberIn(count, /(\d+) to go/)];
  const all = /^All (\d+) judgments made/.exec(count);
  if (all ? Number(all[1]) !== wanted : made + left !== wanted) wrong.push(`counts: ${count}`);
  if (scrolls) wrong.push('it scrolls');
  if (/thank you|nothing more/i.test(doing)) wrong.push(doing);
  if (asks && !/while you judge|waits for your judgment|^Paused/.test(doing)) wrong.push(`judges: ${doing}`);
  if (!asks && /while you judge|waits for your/.test(doing)) wrong.push(`has nothing to judge: ${doing}`);
  if (/last question|^It learned/.test(doing) && !all) wrong.push(`not over: ${doing} ${count}`);
  if (/next .*questions? come/.test(doing) && all) wrong.push(`over: ${doing}`);
  const step = numberIn(doing, /step ([\d,]+)/);
  const place = rows.findIndex((row) => row.step === step);
  if (!Number.isNaN(step) && step > 0 && place < 0) wrong.push(`no such step: ${doing}`);
  return wrong;
}

/** Milliseconds after which a training that does not end is at fault. */
const LONG = 600_000;

/** Prefers the pole that stands longer, as the page shows it. Returns whether there was a question. */
async function judge(page: Page, { frames: [left, right] }: Screen): Promise<boolean> {
  if (left === undefined) return false;
  await page.keyboard.press(left > right ? '1' : left < right ? '2' : '3');
  return true;
}

describe('the room of heed train --teacher human', () => {
  it('teaches CartPole from 30 judgments, and each of its sentences is true', { tags: 'proof' }, async () => {
    const run = join(folder.path, 'taught');
    const training = start(
      ['train', '--env', 'CartPole-v1', '--teacher', 'human', '--labels', '30', '--out', run, '--json'],
      folder.path,
    );
    const page = await open(await linkOf(training), { viewport: wide });
    const faults: Error[] = [];
    page.on('pageerror', (error) => faults.push(error));
    await page.getByRole('heading', { name: 'Which is better?' }).waitFor();
    expect(page.url()).toMatch(/#\/teach\/CartPole-v1$/);
    const wrong = new Set<string>();
    const seen = async (): Promise<Screen> => {
      const screen = await look(page);
      // rows are read after the screen: what it says has happened by then
      for (const one of falsehoods(screen, 30, rowsOf(run))) wrong.add(one);
      return screen;
    };
    const countIs = (text: string) => until(seen, ({ count }) => count.startsWith(text));

    // a judgment, and what is taken back
    const first = await seen();
    expect(first).toMatchObject({
      goal: 'Keep the pole upright and the cart on the track.',
      count: '0 of 30 judgments made, 30 to go',
    });
    expect(first.doing).toMatch(/^The agent waits for your judgment, at step 2,048 of/);
    await judge(page, first);
    await countIs('1 of 30');
    await page.keyboard.press('z');
    expect((await countIs('0 of 30')).count).toMatch(/^0 of 30 judgments made, 30 to go/);

    // on a phone, and by somebody else in the dark
    await page.setViewportSize(phone);
    expect(await barriers(page)).toEqual([]);
    await seen();
    await page.setViewportSize(wide);
    expect(await barriers(page)).toEqual([]);
    await page.getByText('More', { exact: true }).click();
    await page.getByRole('button', { name: 'Invite somebody' }).click();
    const invitation = await page.getByLabel('Their link, shown once').inputValue();
    await page.getByText('More', { exact: true }).click();
    const other = await open(invitation, { colorScheme: 'dark', viewport: phone });
    await other.getByRole('heading', { level: 1 }).waitFor();
    expect(await barriers(other)).toEqual([]);
    expect(await other.getByText('More', { exact: true }).count()).toBe(0);

    // the goal is the owner's to change, and everybody sees it
    await page.getByRole('button', { name: 'Edit goal' }).click();
    await page.getByLabel('The goal').fill('Keep the pole up.');
    await page.keyboard.press('Enter');
    await other.getByRole('heading', { name: 'Keep the pole up.' }).waitFor();
    const theirs = await until(
      () => look(other),
      ({ frames }) => frames.length > 0,
    );
    await judge(other, theirs);
    await countIs('1 of 30');
    await other.context().close();

    // paused is paused, and a round is taken back
    const round = async (upTo: number) => {
      const limit = performance.now() + LONG;
      while (performance.now() < limit) {
        const screen = await seen();
        if (numberIn(screen.count, /^(\d+) of/) >= upTo || screen.count.startsWith('All')) return screen;
        await judge(page, screen);
        await page.waitForTimeout(60);
      }
      throw new Error(`not ${upTo} judgments: ${JSON.stringify(await seen())}`);
    };
    await round(6);
    await page.locator('header').getByRole('button', { name: 'Pause' }).click();
    const still = await until(seen, ({ doing }) => doing.startsWith('Paused'));
    expect(still.doing).toMatch(/^Paused at step [\d,]+ of 60,000/);
    await page.getByText('More', { exact: true }).click();
    await page.getByRole('button', { name: /^Take back the last round \(\d/ }).click();
    await countIs('0 of 30');
    await page.getByText('More', { exact: true }).click();
    await page.getByRole('button', { name: 'Continue' }).click();

    // until it is taught
    await round(30);
    const end = await until(seen, ({ doing }) => doing.startsWith('It learned'));
    const trained = page.getByRole('img', { name: /^The agent at step/ });
    await until(
      () => trained.getAttribute('aria-label'),
      (label) => label?.includes('60,160') === true,
    );
    expect(await page.getByText('The trained agent').count()).toBe(1);
    expect(await barriers(page)).toEqual([]);
    expect(await page.getByText(`heed watch ${run}`).count()).toBe(1);
    expect(training.child.exitCode).toBeNull();
    expect(training.stderr()).toContain('The room stays open until it is closed in the browser');
    await page.getByRole('button', { name: 'Close the room' }).click();
    const { code, stdout, stderr } = await training.end;
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ labels: 30 });
    expect(result.return.mean).toBeGreaterThanOrEqual(475);
    expect(end.doing).toBe(
      `It learned from 30 judgments: return ${result.return.mean.toFixed(1)} ± ${result.return.std.toFixed(1)} over 100 greedy episodes.`,
    );
    await page.getByText('The room is closed.').waitFor();
    expect((await look(page)).alerts).toEqual([]);
    expect([...wrong]).toEqual([]);
    expect(faults).toEqual([]);
    await page.context().close(); // an open page goes on drawing
  });

  it('begins with a behavior, and says so where the command is stopped', async () => {
    const run = join(folder.path, 'flips');
    const flags = ['--teacher', 'human', '--labels', '8', '--goal', 'Jump and turn over backward.', '--episodes', '2'];
    const training = start(['train', '--env', 'Hopper-backflip', ...flags, '--out', run], folder.path);
    const page = await open(await linkOf(training), { viewport: wide });
    const before = await until(
      () => look(page),
      ({ frames }) => frames.length > 0,
    );
    expect(before).toMatchObject({ goal: 'Jump and turn over backward.', scrolls: false, alerts: [] });
    await page.keyboard.press('1');
    await page.getByText('1 of 8 judgments made').waitFor();
    training.child.kill('SIGINT');
    await page.getByText('The training was stopped, with a checkpoint.').waitFor();
    expect((await training.end).code).toBe(130);
    await page.waitForTimeout(500);
    const after = await look(page);
    expect(after).toMatchObject({ frames: [], alerts: [] });
    expect(after.doing).toContain(`heed train --resume ${run}`);
    await page.context().close();
  });
});

describe('the room of heed ppo --ask-people', () => {
  const small = [
    '--data',
    'prompts.jsonl',
    '--batch',
    '4',
    '--max-tokens',
    '6',
    '--ppo.minibatch',
    '2',
    '--steps',
    '6',
  ];
  const taught = ['--model', smallModel(), '--reward', smallModel('tiny-llama-rm'), ...small];
  const prompts = ['red', 'a blue', 'sun', 'the moon'].map((prompt) => JSON.stringify({ prompt }));

  it('teaches a model from 4 judgments and 4 more, and each of its sentences is true', async () => {
    writeFileSync(join(folder.path, 'prompts.jsonl'), prompts.join('\n'));
    writeFileSync(join(folder.path, 'rounds.json'), JSON.stringify({ people: { schedule: { rounds: 1 } } }));
    const run = join(folder.path, 'texts');
    const asking = ['--ask-people', '--people.labels', '4', '--people.ahead', '0', '--config', 'rounds.json'];
    const evaluating = ['--evaluations', '3', '--evaluation.data', 'prompts.jsonl'];
    const training = start(['ppo', ...taught, ...asking, ...evaluating, '--out', run], folder.path);
    const page = await open(await linkOf(training), { viewport: wide });
    const faults: Error[] = [];
    page.on('pageerror', (error) => faults.push(error));
    const wrong = new Set<string>();
    let wanted = 4;
    const seen = async (): Promise<Screen> => {
      const screen = await look(page);
      for (const one of falsehoods(screen, wanted, rowsOf(run))) wrong.add(one);
      return screen;
    };
    const countIs = (text: string) => until(seen, ({ count }) => count.startsWith(text));
    const judgeText = async () => {
      await page.keyboard.press('1');
      await page.getByRole('button', { name: 'clearly better' }).click();
    };

    await page.getByRole('heading', { name: 'Which is better?' }).waitFor();
    expect(await until(seen, ({ doing }) => doing.includes('waits'))).toMatchObject({
      goal: 'Make the model write what you would rather read.',
      doing: 'The model waits for your judgment, at step 1 of 6.',
      count: '0 of 4 judgments made, 4 to go',
    });
    const textOf = (title: string) => page.locator(`.texts div:has(> dt:text-is("${title}")) dd`).textContent();
    const before = await textOf('Before');
    expect(await page.getByText('The model before training').count()).toBe(1);
    expect(await barriers(page)).toEqual([]);
    await judgeText();
    await countIs('1 of 4');
    await page.keyboard.press('z');
    await countIs('0 of 4');
    await judgeText();
    await countIs('1 of 4');

    // a round is taken back while the training is paused
    await page.locator('header').getByRole('button', { name: 'Pause' }).click();
    expect((await until(seen, ({ doing }) => doing.startsWith('Paused'))).doing).toMatch(/^Paused at step 1 of 6/);
    await page.setViewportSize(phone);
    expect(await barriers(page)).toEqual([]);
    await seen();
    await page.setViewportSize(wide);
    await page.getByText('More', { exact: true }).click();
    await page.getByRole('button', { name: 'Take back the last round (1)' }).click();
    await countIs('0 of 4');
    await page.getByText('More', { exact: true }).click();
    await page.getByRole('button', { name: 'Continue' }).click();

    const rest = async () => {
      const limit = performance.now() + LONG;
      while (performance.now() < limit) {
        const screen = await seen();
        if (screen.doing.startsWith('It learned')) return screen;
        if (screen.asks) await judgeText();
        await page.waitForTimeout(60);
      }
      throw new Error(`does not end: ${JSON.stringify(await seen())}`);
    };
    const end = await rest();
    const wins = rowsOf(run).at(-1)!['reward/win_rate'];
    expect(end.doing).toMatch(
      /^It learned from 4 judgments\. By the reward that they taught, .* at a KL of [\d.e-]+ nats\.$/,
    );
    expect(end.doing).toContain(`${Math.round(100 * wins)} % of the evaluation prompts`);
    expect(await textOf('Before')).toBe(before);
    expect(await page.getByText(/^Win rate against before: [\d.]+ at step 6 \(0\.5 at the start\)$/).count()).toBe(1);
    expect(await page.getByText(/^The learned reward agrees with \d of the last [1-4]/).count()).toBe(1);
    expect(await page.getByText(`Saved in ${join(run, 'model')}.`).count()).toBe(1);
    expect(await barriers(page)).toEqual([]);

    // four more, by another process at the same address
    await page.getByRole('button', { name: 'Keep teaching: 4 more judgments' }).click();
    wanted = 8;
    await page.getByText('4 of 8 judgments made, 4 to go').waitFor();
    expect((await rest()).doing).toContain('It learned from 8 judgments.');
    await page.getByRole('button', { name: 'Close the room' }).click();
    expect((await training.end).code).toBe(0);
    await page.getByText('The room is closed.').waitFor();
    expect(rowsOf(run).at(-1)).toMatchObject({ step: 12, labels: 8 });
    expect([...wrong]).toEqual([]);
    expect(faults).toEqual([]);
    await page.context().close(); // an open page goes on drawing
  });

  it('has no more for a run that asked nobody', async () => {
    writeFileSync(join(folder.path, 'prompts.jsonl'), prompts.join('\n'));
    await heed(['ppo', ...taught, '--steps', '1', '--evaluations', '0', '--out', 'alone'], folder.path);
    const { code, stderr } = await heed(['ppo', '--resume', 'alone', '--more', '4'], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('does not ask people') });
  });
});
