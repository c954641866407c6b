/** heed in a page: a project that Vite bundles trains in a worker, and its numbers are those of Node. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, preview } from 'vite';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { learnFromPreferences } from '../src/control/learn.ts';
import { rl } from '../src/rl/rl.ts';
import { startBrowser } from './support/browser.ts';
import { smallModel } from './support/training.ts';

const browser = await startBrowser();
const project = mkdtempSync(join(tmpdir(), 'heed-page-'));
const file = (name: string, text: string) => writeFileSync(join(project, name), text);

/** Short fits: on WebAssembly they take nine tenths of the time. */
const fits = { firstSteps: 60, steps: 10 };
file('package.json', '{ "type": "module" }');
mkdirSync(join(project, 'node_modules'));
symlinkSync(inject('compiled'), join(project, 'node_modules', 'heed'), 'junction');
const onnxruntime = fileURLToPath(new URL('../node_modules/onnxruntime-web', import.meta.url));
symlinkSync(onnxruntime, join(project, 'node_modules', 'onnxruntime-web'), 'junction');
file(
  'train.js',
  `import { startEngine } from 'heed/browser';
import { learnFromPreferences } from 'heed/control';
import { input, square, trace } from 'heed/engine';
import { rl } from 'heed/rl';
export async function train() {
  const messageOf = (promise) => promise.then(() => 'nothing', ({ message, hint }) => message + ': ' + hint);
  const inPage = typeof process === 'undefined';
  const early = inPage && (await messageOf(rl({ steps: 256 })));
  const threads = inPage && (await messageOf(startEngine({ threads: 2 })));
  await startEngine();
  const steps = [];
  for await (const { step, metrics } of rl({ env: 'CartPole-v1', steps: 1024, evaluations: 0, episodes: 5 })) steps.push({ step, metrics });
  const { policy, reward, metrics } = await learnFromPreferences({ labels: 10, steps: 10_000, reward: ${JSON.stringify(fits)}, evaluations: 0, episodes: 20, onNotice() {} });
  const action = policy.act([0.01, 0, 0.2, 1]);
  const score = reward.score([0.01, 0, 0.02, 0], 1);
  const profiled = async () => trace((g) => ({ y: square(input(g, 'x', [2])) }), { profile: 'profile' }).run({ x: [1, 2] });
  const profile = await messageOf(profiled());
  const file = inPage && (await messageOf(learnFromPreferences({ env: './mine.js' })));
  return { early, threads, steps, return: metrics.return, labels: metrics.labels, action, score, profile, file };
}`,
);
file(
  'language.js',
  `import { dpo, ppo, reward, sft } from 'heed/align';
import { fetchFiles, modelFiles, startEngine } from 'heed/browser';
import { loadModel } from 'heed/lm';
const prompt = 'Write a review.';
const rows = ['The food is good.', 'The rooms are clean.', 'The staff is kind.', 'The view is great.'];
export async function language(folder) {
  await startEngine();
  if (folder.protocol !== 'file:') {
    await fetchFiles('/model', folder, modelFiles);
    folder = '/model';
  } else folder = folder.pathname;
  const model = await loadModel(folder);
  const tuned = await sft({ model, data: rows.map((completion) => ({ prompt, completion })), steps: 2, evaluation: { share: 0 } });
  const pairs = rows.map((chosen, i) => ({ prompt: prompt + i, chosen, rejected: 'Bad, bad.' }));
  const scores = await reward({ model, data: pairs, epochs: 1, batch: 2, evaluation: { share: 0.25 } });
  const aligned = await dpo({ model, data: pairs, batch: 2, steps: 2, evaluation: { share: 0, prompts: 2, maxTokens: 8 } });
  const learned = await ppo({ model, data: [{ prompt }, { prompt: prompt + 1 }], reward: (completions) => completions.map(({ text }) => -text.length), steps: 1, batch: 2, maxTokens: 8, evaluation: { share: 0.5 } });
  const text = await model.generate(prompt, { maxTokens: 8, seed: 1 });
  return { tuned: tuned.metrics, scores: scores.metrics, aligned: aligned.metrics, learned: learned.metrics, text };
}`,
);
file(
  'all.js',
  `import { language } from './language.js';
import { train } from './train.js';
export const all = async (folder) => ({ ...(await train()), language: await language(new URL(folder)) });`,
);
file(
  'threads.js',
  `import { startEngine } from 'heed/browser';
import { input, matmul, trace } from 'heed/engine';
export async function multiply(threads) {
  const runtime = await startEngine({ threads });
  const n = 256;
  const a = Float32Array.from({ length: n * n }, (_, i) => Math.sin(i));
  const { y } = trace((g) => ({ y: matmul(input(g, 'a', [n, n]), input(g, 'b', [n, n])) })).run({ a, b: a });
  return { threads: runtime.threads, y: Array.from(y) };
}`,
);
file(
  'worker.js',
  `import { all } from './all.js';
import { multiply } from './threads.js';
onmessage = ({ data }) =>
  (typeof data === 'number' ? multiply(data) : all(data)).then(postMessage, (error) => postMessage({ error: String(error) }));`,
);
file(
  'main.js',
  `const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
worker.onmessage = ({ data }) => { window.result = data; };
worker.onerror = ({ message }) => { window.result = { error: message }; };
const threads = Number(new URL(location.href).searchParams.get('threads'));
worker.postMessage(threads || new URL('model/', location.href).href);`,
);
cpSync(smallModel(), join(project, 'public', 'model'), { recursive: true });
file('index.html', '<!doctype html><title>heed</title><script type="module" src="./main.js"></script>');
afterAll(async () => {
  await browser?.close();
  rmSync(project, { recursive: true });
});

interface Trained {
  early: string;
  threads: string;
  steps: { step: number; metrics: Record<string, number> }[];
  return: { mean: number };
  labels: number;
  action: number;
  score: number;
  profile: string;
  file: string;
  language: Record<string, unknown>;
}

/** What the same module gives in Node, on the same WebAssembly. */
let ranInNode: Trained | undefined;
const inNode = (): Trained => {
  ranInNode ??= JSON.parse(
    execFileSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        "const { all } = await import('./all.js'); console.log(JSON.stringify(await all(process.argv[1])));",
        pathToFileURL(join(project, 'public', 'model', '/')).href,
      ],
      { cwd: project, encoding: 'utf8' },
    ),
  ) as Trained;
  return ranInNode;
};

describe('heed/browser', () => {
  it('trains in Node too, as the shared library does but for rounding', async () => {
    const { steps, return: reached, labels, action } = inNode();
    const native: Trained['steps'] = [];
    for await (const { step, metrics } of rl({ env: 'CartPole-v1', steps: 1024, evaluations: 0, episodes: 5 })) {
      native.push({ step, metrics });
    }
    expect(steps.map(({ step }) => step)).toEqual(native.map(({ step }) => step));
    for (const [name, value] of Object.entries(native[0].metrics)) {
      expect(steps[0].metrics[name], name).toBeCloseTo(value, 3);
    }
    const { metrics } = await learnFromPreferences({
      ...{ labels: 10, steps: 10_000, reward: fits, evaluations: 0, episodes: 20 },
      onNotice() {},
    });
    expect(labels).toBe(metrics.labels);
    for (const { mean } of [reached, metrics.return]) expect(mean).toBeGreaterThan(100);
    expect(action).toBe(1);
  });

  const outDir = join(project, 'dist');
  beforeAll(async () => {
    if (!browser) return;
    await build({
      root: project,
      base: './',
      logLevel: 'error',
      worker: { format: 'es' },
      build: { outDir, target: 'es2022' },
    });
  });

  /** What the page's worker ends with. */
  async function resultOf(query: string, headers: Record<string, string> = {}): Promise<unknown> {
    const server = await preview({
      root: project,
      logLevel: 'error',
      build: { outDir },
      preview: { port: 0, headers },
    });
    const page = await browser!.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    await page.goto(server.resolvedUrls!.local[0] + query);
    await page.waitForFunction('window.result', undefined, { timeout: 0 });
    const result = await page.evaluate('window.result');
    await page.close();
    await server.close();
    expect(problems).toEqual([]);
    return result;
  }

  it.skipIf(!browser)('computes on two threads in a page that is cross-origin isolated (needs Chromium)', async () => {
    const isolated = {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };
    const one = (await resultOf('?threads=1')) as { threads: number; y: number[] };
    const two = (await resultOf('?threads=2', isolated)) as typeof one;
    expect([one.threads, two.threads]).toEqual([1, 2]);
    expect(two.y).toEqual(one.y);
  });

  it.skipIf(!browser)('trains in a worker of a page, bit for bit as in Node (needs Chromium)', async () => {
    const result = (await resultOf('')) as Trained;
    const { early, threads, file: fault, ...trained } = result;
    const { early: _, threads: __, file: ___, ...same } = inNode();
    expect(trained).toEqual(JSON.parse(JSON.stringify(same)));
    expect(early).toBe('the engine has not started: await startEngine() of heed/browser first');
    expect(threads).toMatch(/may not have 2 threads: it is not cross-origin isolated/);
    expect(trained.profile).toBe(
      "ONNX Runtime's WebAssembly writes no profile: leave out profile, or profile the program in Node on the shared library",
    );
    expect(fault).toMatch(/there is no file ".\/mine.js"/);
  });
});
