/** Runs in the studio's page, in a real browser, while they are written. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRun, type Run } from '../src/run/index.ts';
import { eventually } from './support/eventually.ts';
import { ownFolder } from './support/heed.ts';
import { barriers, looks, ownBrowser, startStudio } from './support/studio.ts';

const folder = ownFolder();
const { browser, open } = await ownBrowser();
const SCRIPT = '<img src=x onerror="document.title=\'hacked\'">';
let url: string;
let page: Page;
let live: Run;
let stop: () => Promise<unknown>;
const uncaught: string[] = [];

const frame = (x: number) => ({
  width: 100,
  height: 50,
  shapes: [{ kind: 'circle', x, y: 25, radius: 5, fill: '#333' }],
});
const newRun = (name: string, config: object) =>
  createRun(join(folder.path, 'runs', name), { name, command: 'ppo', config, seed: 1 });
const logSteps = (run: Run, from: number, to: number) => {
  for (let step = from; step < to; step++) {
    const evaluated = step < 150 && step % 50 === 0 && { 'eval/return': step };
    run.log(step, {
      'loss/policy': Math.sin(step / 9) + 2,
      'reward/mean': step / 100,
      labels: Math.floor(step / 50),
      ...evaluated,
    });
  }
};

beforeAll(async () => {
  if (!browser) return;
  live = newRun('live', { learningRate: 0.001, model: { layers: 2 }, same: true, steps: 1000 });
  logSteps(live, 0, 200);
  for (const step of [0, 100]) {
    for (const index of [0, 1]) {
      const text = `answer ${index} at ${step} ${SCRIPT}`;
      live.sample({
        kind: 'completion',
        step,
        index,
        prompt: `prompt ${index}`,
        text,
        reward: step + index,
        kl: index,
      });
    }
  }
  live.sample({ kind: 'alert', step: 90, metric: 'kl', value: 9, text: `kl is high ${SCRIPT}` });
  for (const [i, step] of [0, 50, 100].entries())
    live.sample({ kind: 'spread', step, of: { reward: [i, i + 1, i + 2], length: [5, 6, 7 + i] } });
  const clips = { first: [frame(10), frame(20)], second: [frame(90), frame(80)], framesPerSecond: 10 };
  live.sample({ kind: 'comparison', id: 'q1', step: 50, choice: [1, 0], predicted: 0.7, returns: [3, 1], ...clips });
  live.sample({ kind: 'comparison', id: 'q2', step: 75, choice: [0, 1], predicted: 0.2, returns: [1, 2], ...clips });
  const other = newRun('other', { learningRate: 0.01, model: { layers: 2 }, same: true, steps: 1000 });
  logSteps(other, 0, 300);
  const called = { type: 'function', function: { name: 'calculator', arguments: '{"expression": "12 * 30"}' } };
  const messages = [
    { role: 'user', content: 'What is 12 * 30?' },
    { role: 'assistant', content: '', tool_calls: [called] },
    { role: 'tool', content: `360 ${SCRIPT}` },
    { role: 'assistant', content: 'It is 360.' },
  ];
  const episode = { turns: 2, calls: 1, faulty_calls: 0, failure: 'the tool is tired', messages };
  other.sample({ kind: 'completion', step: 9, index: 0, prompt: 'What is 12 * 30?', text: '…', reward: 1, ...episode });
  for (const step of [100, 299]) other.saveCheckpoint(step, { state: {}, tensors: {} });
  other.close();
  writeFileSync(
    join(other.folder, 'report.html'),
    '<title>of a run</title><p id="said"></p><script>said.textContent = "ran"; try { said.textContent += localStorage.length } catch { said.textContent += " alone" }</script>',
  );
  for (let i = 0; i < 60; i++) newRun(`many ${String(i).padStart(2, '0')}`, {}).close();
  const started = await startStudio(folder.path);
  ({ url, stop } = started);
  page = await open(started.link, { viewport: { width: 1200, height: 900 } });
  page.on('pageerror', ({ message }) => uncaught.push(message));
  await page.getByRole('link', { name: 'Runs' }).click();
});
afterAll(async () => {
  await stop?.();
  live?.close();
});

const chart = (name: string) => page.locator(`[data-metric="${name}"]`);
const reading = (name: string) => chart(name).locator('.reading');

/** Pixels of a chart that something was drawn on. */
const inked = (name: string) =>
  page.evaluate<number>(`(() => {
    const canvas = document.querySelector('[data-metric="${name}"] canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((_, i) => i % 4 === 3 && data[i] > 0).length;
  })()`);

it('lists runs, the newest first, in pages; searches; marks those that run', async () => {
  await page.getByText('62 runs').waitFor();
  const rows = page.locator('tbody tr');
  expect(await rows.count()).toBe(50);
  expect(await rows.first().innerText()).toContain('many 59');
  await page.getByRole('button', { name: 'Older' }).click();
  await page.getByText('Page 2 of 2').waitFor();
  await page.getByRole('link', { name: 'live' }).waitFor();
  await page.getByRole('searchbox', { name: 'Search' }).fill('live');
  await page.getByText('1 run', { exact: true }).waitFor();
  expect(await rows.innerText()).toContain('running');
  expect(await rows.innerText()).toMatch(/20 %, \d+ \w+ left/);
  const machine = page.getByLabel('Machine');
  expect(await machine.innerText()).toMatch(
    /Load\s+\d+\.\d of \d+ cores?\s+Memory\s+\d+\.\d GiB of \d+\.\d GiB\s+Studio\s+\d+\.\d GiB/,
  );
  await page.reload();
  await page.getByText('1 run', { exact: true }).waitFor();
});

it('draws curves that grow while the run is written; smoothing, axes and zoom outlive a reload', async () => {
  await page.getByRole('link', { name: 'live' }).click();
  await reading('reward/mean').getByText('1.99').waitFor();
  expect(await inked('loss/policy')).toBeGreaterThan(500);
  // two hundred points are smoothed by default, three are not
  expect(await reading('reward/mean').innerText()).toContain('smoothed');
  expect(await reading('eval/return').innerText()).not.toContain('smoothed');
  await page.getByRole('slider', { name: 'Smoothing' }).fill('50');
  await reading('eval/return').getByText('smoothed').waitFor();
  logSteps(live, 200, 401);
  await reading('reward/mean').getByText('4 at 400').waitFor();
  await page.getByLabel('X axis').selectOption('Labels');
  await reading('reward/mean').getByText('at 8').waitFor();
  await page.getByLabel('X axis').selectOption('Steps');
  await page.getByLabel('Log scale').check();
  await page.getByLabel('From').fill('100');
  await page.getByLabel('From').press('Enter');
  await page.getByLabel('to', { exact: true }).fill('200');
  await page.getByLabel('to', { exact: true }).press('Enter');
  await reading('reward/mean').getByText('2 at 200').waitFor();
  await page.getByLabel('Metrics').fill('reward');
  await chart('loss/policy').waitFor({ state: 'detached' });
  await page.reload();
  await reading('reward/mean').getByText('2 at 200').waitFor();
  expect(await page.getByLabel('Log scale').isChecked()).toBe(true);
  // drawn with the mouse, and back
  const box = (await chart('reward/mean').locator('.u-over').boundingBox())!;
  await page.mouse.move(box.x + box.width / 4, box.y + 50);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + 50, { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction('/from=12[45]/.test(location.hash) && /to=1(49|50)/.test(location.hash)');
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByLabel('Metrics').fill('');
  await reading('reward/mean').getByText('4 at 400').waitFor();
});

it('goes on by itself after the network was gone', async () => {
  await page.context().setOffline(true);
  logSteps(live, 401, 451);
  await page.context().setOffline(false);
  logSteps(live, 451, 501);
  await reading('reward/mean').getByText('5 at 500').waitFor();
});

it('shows alerts, and answers at two steps side by side: as text', async () => {
  await page.getByText(`Step 90: kl is high ${SCRIPT}`).waitFor();
  await page.getByRole('link', { name: 'Samples' }).click();
  await page.getByText(`answer 1 at 100 ${SCRIPT}`).waitFor();
  const row = page.getByRole('row', { name: /prompt 1/ });
  expect((await row.innerText()).split('\t')).toEqual([
    'prompt 1',
    `answer 1 at 0 ${SCRIPT}`,
    '1',
    '1',
    `answer 1 at 100 ${SCRIPT}`,
    '101',
    '1',
  ]);
  await page.getByRole('img', { name: /reward of sampled responses, from 0 to 101/ }).waitFor();
  await page.getByLabel('Compare with step').selectOption('0');
  await page.getByText('answer 1 at 100').waitFor({ state: 'detached' });
  await page.getByLabel('Kind').selectOption('comparison');
  await page.getByText('The left clip was preferred. The reward model preferred the left with 70 %.').waitFor();
  expect(await page.getByRole('img', { name: 'Left clip of 2 frames' }).isVisible()).toBe(true);
  await page.getByRole('list', { name: 'Clips by step' }).getByRole('button', { name: 'step 75' }).click();
  await page.getByText('The right clip was preferred. The reward model preferred the left with 20 %.').waitFor();
  expect(await page.title()).toBe('heed');
});

it('plays clips in step: pause, frame by frame, scrub, speed', async () => {
  await page.getByRole('button', { name: 'Pause' }).click();
  const frame = page.getByRole('slider', { name: 'Frame' });
  await frame.fill('0');
  const drawn = () =>
    page.evaluate<string[]>("Array.from(document.querySelectorAll('.clips canvas'), (canvas) => canvas.toDataURL())");
  const first = await drawn();
  await page.getByRole('button', { name: 'One frame forward' }).click();
  expect(await frame.inputValue()).toBe('1');
  const second = await drawn();
  for (const side of [0, 1]) expect(second[side]).not.toBe(first[side]);
  await page.getByRole('button', { name: 'One frame back' }).click();
  expect(await drawn()).toEqual(first);
  await page.getByLabel('Speed').selectOption('4×');
  await page.getByRole('button', { name: 'Play' }).click();
  await expect.poll(() => frame.inputValue()).not.toBe('0');
});

it('shows how rewards and lengths of the answers are spread at each step', async () => {
  await page.getByRole('link', { name: 'Histograms' }).click();
  await page.getByRole('img', { name: 'live, from 0 to 4: mean 1 at step 0, 3 at step 100' }).waitFor();
  await page.getByRole('img', { name: 'live, from 5 to 9: mean 6 at step 0, 6.67 at step 100' }).waitFor();
});

it('lays runs over one another, with what differs in their settings', async () => {
  await page.goto(`${url}/#/runs?search=e`);
  await page.getByRole('searchbox', { name: 'Search' }).fill('ppo');
  await page.getByRole('button', { name: 'Older' }).click();
  for (const name of ['live', 'other']) await page.getByRole('checkbox', { name: `Select ${name}` }).check();
  await page.getByRole('link', { name: 'Compare 2 runs' }).click();
  await reading('loss/policy').locator('i').nth(1).waitFor();
  const table = page.getByRole('region', { name: 'Settings' });
  expect((await table.locator('tbody').innerText()).trim().split(/\s+/)).toEqual(['learningRate', '0.001', '0.01']);
  await page.getByRole('link', { name: 'Remove live' }).click();
  await page.getByRole('heading', { name: 'other', exact: true }).waitFor();
});

it('shows an episode as a conversation, with the calls of tools and what they returned', async () => {
  await page.goto(`${url}/#/runs/other?part=samples`);
  const cell = page.locator('.episode');
  await cell.getByText('It is 360.').waitFor();
  expect((await cell.innerText()).replace(/\s+/g, ' ')).toBe(
    `USER What is 12 * 30? ASSISTANT Calls calculator { "expression": "12 * 30" } TOOL 360 ${SCRIPT} ASSISTANT It is 360. The environment failed: the tool is tired`,
  );
  for (const name of ['turns', 'calls', 'faulty_calls']) {
    await page.getByRole('columnheader', { name, exact: true }).waitFor();
  }
  await page.goto(`${url}/#/runs/other`);
});

it("names a run's settings, versions and the steps of its checkpoints", async () => {
  await page.getByRole('link', { name: 'Settings' }).click();
  const row = (name: string) => page.getByRole('row', { name: new RegExp(`^${name}\\b`) }).innerText();
  await page.getByRole('row', { name: /^checkpoints/ }).waitFor();
  expect(await row('checkpoints')).toBe('checkpoints\t100, 299');
  expect(await row('learningRate')).toBe('learningRate\t0.01');
  expect(await row('versions.node')).toContain(process.versions.node);
});

it('opens the report, which may run its script and reach nothing', async () => {
  const opened = page.context().waitForEvent('page');
  await page.getByRole('link', { name: 'Report' }).click();
  const report = await opened;
  await report.waitForLoadState();
  expect(await report.locator('#said').innerText()).toBe('ran alone');
  await report.close();
});

it('takes rows that are no rows for none', async () => {
  appendFileSync(
    join(folder.path, 'runs', 'other', 'metrics.jsonl'),
    'not a row\n{"step":999,"reward/mean":"NaN"}\n{"st',
  );
  await page.goto(`${url}/#/runs/other`);
  await reading('reward/mean').getByText('2.99 at 299').waitFor();
});

it('is usable by everybody: WCAG 2.2 AA by axe, light and dark, wide and on a phone', async () => {
  const storageState = await page.context().storageState();
  const views = [
    '',
    '/live',
    '/live,other',
    '/live?part=histograms',
    '/live?part=samples',
    '/live?part=samples&kind=comparison',
    '/live?part=settings',
    '/other?part=samples',
  ];
  for (const look of looks) {
    const own = await open(url, { ...look, storageState });
    for (const view of views) {
      await own.goto(`${url}/#/runs${view}`);
      await own.getByRole('heading', { level: 1 }).waitFor();
      await own.waitForTimeout(500);
      expect([view, ...(await barriers(own))]).toEqual([view]);
    }
    await own.context().close();
  }
});

/** What the page says of a metric's chart: the colors of its runs, and those that its canvas is covered with. */
const COLORS = `(() => {
  const chart = document.querySelector('[data-metric="reward/mean"]');
  const runs = [...chart.querySelectorAll('.reading i')].map((mark) => getComputedStyle(mark).backgroundColor);
  const canvas = chart.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const drawn = new Set();
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] === 255) drawn.add('rgb(' + data.slice(i, i + 3).join(', ') + ')');
  return { runs, drawn: [...drawn] };
})()`;

it.each(['light', 'dark'] as const)(
  'draws each run in a color of its own where the page is %s',
  async (colorScheme) => {
    const mine = await open(url, { colorScheme, storageState: await page.context().storageState() });
    await mine.goto(`${url}/#/runs/live,other`);
    await mine.locator('[data-metric="reward/mean"] canvas').waitFor();
    await eventually(async () => {
      const { runs, drawn } = await mine.evaluate<{ runs: string[]; drawn: string[] }>(COLORS);
      expect(new Set(runs).size).toBe(2);
      expect(drawn).toEqual(expect.arrayContaining(runs));
    });
    await mine.context().close();
  },
);

it('throws nothing while tabs change and charts leave the page', async () => {
  await page.goto(`${url}/#/runs/live`);
  for (let i = 0; i < 3; i++) {
    await reading('reward/mean').waitFor();
    await page.getByRole('link', { name: 'Samples' }).click();
    await page.getByRole('link', { name: 'Curves' }).click();
  }
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.waitForTimeout(200);
  expect(uncaught).toEqual([]);
});
