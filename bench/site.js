/**
 * The site in Chromium, as it is published: what its first page weighs, how long the demo trains and whether the page
 * stays responsive; and the engine's WebAssembly beside the shared library, in Node.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { delimiter, extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { median } from './figures.js';
import { alternate, jobsOf, path, times } from './sides.js';
import { webgpu as operations } from './site-webgpu.js';

export const site = { sections: { page, readers, writers, lesson, engine, webgpu } };

const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};
const STEPS = 60_000;
const LABELS = 10;

/** Serves a folder, and counts what is fetched: the gzip size of each file, once. `home`: the first page, if it is no file. */
async function serve(folder, home) {
  const sizes = new Map();
  const server = createServer(({ url }, response) => {
    if (url === '/' && home) return response.writeHead(200, { 'content-type': types['.html'] }).end(home);
    let file = join(folder, new URL(url, 'http://site').pathname);
    if (existsSync(file) && statSync(file).isDirectory()) file = join(file, 'index.html');
    if (!existsSync(file)) return response.writeHead(404).end();
    const content = readFileSync(file);
    if (!sizes.has(file)) sizes.set(file, gzipSync(content).length);
    const type = types[extname(file)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type }).end(content);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, sizes, address: `http://127.0.0.1:${server.address().port}/` };
}

function browserPath() {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  return (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find(existsSync);
}

/** Chooses the clip that does not fall, or whose pole leans less: runs in the page. */
const choose = `(() => {
  const [left, right] = [...document.querySelectorAll('heed-cartpole .clip canvas')].map((canvas) => {
    const text = canvas.getAttribute('aria-label');
    const [steps, degrees] = text.match(/\\d+/g).map(Number);
    return (text.includes('falls') ? steps - 100 : 0) - degrees;
  });
  document.querySelector('heed-cartpole [data-choice=' + (left > right ? 'left' : left < right ? 'right' : 'equal') + ']').click();
})()`;

/** One reader's visit: what it took. */
async function visit(browser, address, seed) {
  const context = await browser.newContext();
  const tab = await context.newPage();
  await tab.addInitScript(`window.tasks = [];
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });`);
  await tab.goto(`${address}#seed=${seed}&steps=${STEPS}`);
  await tab.getByRole('button', { name: 'Start' }).click();
  const began = performance.now();
  for (let choice = 1; choice <= LABELS; choice++) {
    await tab.getByText(`(${choice} of ${LABELS})`).waitFor();
    if (choice === 1) await tab.evaluate('window.tasks.length = 0');
    await tab.evaluate(choose);
  }
  await tab.waitForFunction("document.querySelector('heed-cartpole').dataset.state", undefined, { timeout: 300_000 });
  const text = await tab.locator('heed-cartpole .say').innerText();
  const tasks = await tab.evaluate('window.tasks');
  await context.close();
  return {
    training: Number(text.match(/([\d.]+) s of training/)[1]),
    length: Number(text.match(/last (\d+) of 500/)[1]),
    wall: (performance.now() - began) / 1000,
    longest: Math.max(0, ...tasks),
  };
}

/** The site as it is published, in Chromium: what `look` finds there. Nothing without Chromium. */
async function inPages(look) {
  const executablePath = browserPath();
  if (!executablePath) {
    console.error('Chromium is not on PATH');
    return;
  }
  const vitepress = path('../node_modules/vitepress/bin/vitepress.js');
  const built = spawnSync(process.execPath, [vitepress, 'build', path('../site')], {
    encoding: 'utf8',
    env: { ...process.env, NODE_ENV: 'production' },
  });
  if (built.status !== 0) throw new Error(built.stderr);
  const { server, sizes, address } = await serve(path('../site/dist'));
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    return await look(browser, address, sizes);
  } finally {
    await browser.close();
    server.close();
  }
}

/** Lesson 10's second figure, trained to its end: what its sentence says, and what it took. */
async function overOptimize(browser, address, seed) {
  const context = await browser.newContext();
  const tab = await context.newPage();
  await tab.goto(`${address}course/10-over-optimization.html`);
  const figure = tab.locator('heed-embedded-world');
  await figure.getByRole('radio', { name: String(seed), exact: true }).check();
  await tab.evaluate(`window.tasks = [];
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });`);
  const began = performance.now();
  await figure.getByRole('button', { name: 'Train it in this page' }).click();
  await figure.getByText(/^Gold was highest at/).waitFor({ timeout: 280_000 });
  const seconds = (performance.now() - began) / 1000;
  const text = await figure.locator('p').innerText();
  const longest = Math.max(0, ...(await tab.evaluate('window.tasks')));
  await context.close();
  return { seconds, text, longest };
}

async function* lesson() {
  const visits = await inPages(async (browser, address) => [
    await overOptimize(browser, address, 0),
    await overOptimize(browser, address, 1),
  ]);
  for (const [seed, { seconds, text, longest }] of (visits ?? []).entries())
    yield {
      name: `lesson 10 trains a language model in the page, seed ${seed}`,
      value: `${seconds.toFixed(0)} s`,
      target: '≤ 60 s',
      note: `${text} Longest task of the page: ${longest.toFixed(0)} ms`,
    };
}

async function* page({ seeds }) {
  const sizes = new Map();
  const visits = await inPages(async (browser, address, fetched) => {
    const found = [];
    for (let seed = 0; seed < seeds; seed++) found.push(await visit(browser, address, seed));
    for (const [file, size] of fetched) sizes.set(file, size);
    return found;
  });
  if (!visits) return;
  const all = [...sizes.values()].reduce((a, b) => a + b, 0);
  const of = (name) => visits.map((one) => one[name]);
  const seconds = of('training');
  yield { name: 'first page with its demo, gzip', value: `${(all / 1e6).toFixed(2)} MB`, target: '≤ 5 MB' };
  yield {
    name: `training in the page, ${seeds} readers`,
    value: `${median(seconds).toFixed(1)} s (${Math.min(...seconds)} to ${Math.max(...seconds)})`,
    target: '≤ 10 s',
    note: `${STEPS} steps, ${LABELS} choices`,
  };
  yield {
    name: 'episodes afterwards',
    value: `${median(of('length'))} of 500 steps`,
    note: `by seed: ${of('length').join(', ')}`,
  };
  yield {
    name: 'longest task of the page while it trains',
    value: `${Math.max(...of('longest')).toFixed(0)} ms`,
    target: '≤ 50 ms',
  };
}

/** The first page's first demo in Node: readers who prefer the pole upright, then tilted. */
async function* readers({ seeds }) {
  const job = jobsOf('./site-reader-job.js');
  const found = Array.from({ length: seeds }, (_, seed) => job(seed));
  const share = (good) => `${good.length} of ${seeds}`;
  const stands = ({ length }) => length >= 400;
  const leans = ({ upright, tilted }) => tilted.lean >= 2 * upright.lean && tilted.lean >= upright.lean + 1;
  const said = (name) => found.map((one) => `${Math.round(one[name].length)} at ${one[name].lean.toFixed(1)}°`);
  yield {
    name: 'the pole stands',
    value: share(found.filter(({ upright }) => stands(upright))),
    note: `steps and mean angle by seed: ${said('upright').join(', ')}`,
  };
  yield {
    name: 'afterwards it stands tilted',
    value: share(found.filter((one) => stands(one.tilted) && leans(one))),
    target: '≥ 9 of 10',
    note: `${said('tilted').join(', ')}; ${median(found.map(({ tilted }) => tilted.answers))} answers of a reader`,
  };
}

/** The first page's second demo in Node: readers of three tastes. */
async function* writers({ pairs }) {
  const job = jobsOf('./site-writer-job.js');
  for (const taste of ['praise', 'blame', 'short']) {
    const found = Array.from({ length: pairs }, (_, seed) => job(taste, seed));
    yield {
      name: `a reader who prefers ${taste}`,
      value: `${found.filter(({ said }) => said.includes('It learned that.')).length} of ${pairs} learned`,
      note: found.map(({ said, cpu }) => `${said} ${cpu.toFixed(0)} s of a core`).join(' '),
    };
  }
}

async function* engine({ pairs }) {
  const job = jobsOf('./site-job.js');
  for (const [name, what] of [
    ['CartPole by PPO, 20,000 steps', 'rl'],
    ['CartPole from preferences, 20,000 steps', 'preferences'],
    ['SFT of reviews-base, 20 steps', 'sft'],
  ]) {
    const { wasm, native } = alternate(pairs, { wasm: () => job(what, 'wasm'), native: () => job(what, 'native') });
    yield {
      name,
      value: `${(1 / times(wasm, native, 'perSecond')).toFixed(2)} × native time`,
      note: `WebAssembly ${median(wasm.map(({ seconds }) => seconds)).toFixed(2)} s, shared library ${median(native.map(({ seconds }) => seconds)).toFixed(2)} s, one thread each`,
    };
  }
}

async function* webgpu() {
  const executablePath = browserPath();
  if (executablePath) yield* operations(executablePath, serve);
  else console.error('Chromium is not on PATH');
}
