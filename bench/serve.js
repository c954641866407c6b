/** heed serve: throughput against the generator alone and llama.cpp's server, and a fuzzer's requests. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, rate } from './figures.js';
import { writeRandomGguf } from './peers/node-llama-cpp/random-gguf.js';
import { jobsOf, lastLine, node } from './sides.js';

const ours = jobsOf('./serve-job.js');
const CLIENTS = 32;
const PROMPT = 64;
const NEW = 64;

/** HEED_SERVE_SHAPES names other shapes than these. */
const shapeNames = () => process.env.HEED_SERVE_SHAPES?.split(',') ?? ['1M', '135M'];

async function* throughput() {
  for (const shape of shapeNames()) {
    const { alone, served } = ours(
      'throughput',
      ...['--shape', shape, '--batch', CLIENTS, '--prompt', PROMPT, '--new', NEW],
    );
    const share = median(served.map(({ tokensPerSecond }, i) => tokensPerSecond / alone[i]));
    const firsts = served.flatMap(({ first }) => first).sort((a, b) => a - b);
    const at = (p) => firsts[Math.min(firsts.length - 1, Math.floor(p * firsts.length))];
    yield {
      name: `${CLIENTS} clients at once, ${shape}, tokens/s`,
      value: rate(median(served.map(({ tokensPerSecond }) => tokensPerSecond))),
      target: '≥ 90 % of the generator’s batch',
      note: `${(100 * share).toFixed(0)} % of ${rate(median(alone))}; first token ${at(0.5).toFixed(0)} ms (p50), ${at(0.99).toFixed(0)} ms (p99); llama.cpp ${await llamaServer(shape)}`,
      figures: { alone, served },
    };
  }
}

/** llama.cpp's own server with a model of the same shape, where llama-server is on the path. */
async function llamaServer(shape) {
  if (spawnSync('llama-server', ['--version']).status !== 0) return 'skipped: llama-server is not on the path';
  const { default: shapes } = await import('./lm-shapes.json', { with: { type: 'json' } });
  const { config } = shapes[shape];
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  const file = join(folder, 'model.gguf');
  writeRandomGguf(file, config, 'F32');
  const context = CLIENTS * (PROMPT + NEW + 8);
  const flags = ['-m', file, '--port', '8391', '-np', CLIENTS, '-c', context, '-t', '2'].map(String);
  const server = spawn('llama-server', flags, { stdio: 'ignore' });
  try {
    const url = 'http://127.0.0.1:8391';
    for (let i = 0; i < 300 && !(await fetch(`${url}/health`).catch(() => undefined))?.ok; i++)
      await new Promise((resolve) => setTimeout(resolve, 200));
    const figures = [0, 1, 2, 3].map(() => {
      const run = node('./serve-clients.js', [`${url}/v1`, 'any', CLIENTS, PROMPT, NEW, config.vocab_size]);
      if (run.status !== 0) throw new Error(lastLine(run.stderr));
      return JSON.parse(lastLine(run.stdout)).tokensPerSecond;
    });
    return rate(median(figures.slice(1)));
  } catch (error) {
    return `failed: ${error.message}`;
  } finally {
    server.kill();
    rmSync(folder, { recursive: true });
  }
}

/** Requests that schemathesis makes of the server's own OpenAPI document: none may end with a 500. */
async function* fuzz() {
  const python = process.env.HEED_PEERS_PYTHON ?? process.env.HEED_PYTHON ?? 'python3';
  if (spawnSync(python, ['-c', 'import schemathesis']).status !== 0) {
    yield {
      name: 'schemathesis',
      value: 'skipped',
      note: `${python} does not have schemathesis: pip install schemathesis`,
    };
    return;
  }
  const run = node('./serve-fuzz.js', ['--python', python]);
  if (run.status !== 0) throw new Error(lastLine(run.stderr));
  const { requests, failures, passed, byStatus, alive, exit } = JSON.parse(lastLine(run.stdout));
  if (!passed) console.error(run.stderr);
  const failed = Object.entries(byStatus).filter(([status]) => status >= 500);
  yield {
    name: 'requests of schemathesis that ended with a 5xx',
    value: `${failed.reduce((sum, [, count]) => sum + count, 0)} of ${requests}`,
    target: '0',
    note: `${JSON.stringify(byStatus)}; the server ${alive ? `lived, and ended with ${exit}` : 'ended'}`,
  };
  yield { name: 'failed checks of schemathesis', value: failures, target: '0', note: `${requests} requests` };
}

/** What the recording proxy adds to a request, whole or streamed. */
async function* proxy() {
  const run = node('./serve-proxy.js', [2000]);
  if (run.status !== 0) throw new Error(lastLine(run.stderr));
  const { stream, ...whole } = JSON.parse(lastLine(run.stdout));
  for (const [what, { direct, through, added }] of Object.entries({ request: whole, 'stream of 200 events': stream })) {
    yield {
      name: `a ${what} through the proxy, ms more (p99)`,
      value: added.p99.toFixed(1),
      target: '≤ 5',
      note: `p50 ${added.p50.toFixed(1)}; directly ${direct.p50.toFixed(1)} and ${direct.p99.toFixed(1)}, through it ${through.p50.toFixed(1)} and ${through.p99.toFixed(1)}`,
    };
  }
}

/** A simulated product whose users' feedback trains the served model. HEED_BENCH_FOLDER keeps what is done. */
async function* product() {
  const kept = process.env.HEED_BENCH_FOLDER;
  const run = (script, name, ...flags) => {
    const folder = kept ? ['--folder', join(kept, name)] : [];
    const { status, stdout, stderr } = node(script, [...flags, ...folder]);
    if (status !== 0) throw new Error(lastLine(stderr));
    return JSON.parse(lastLine(stdout));
  };
  // neither the seed nor the rate was used to choose anything
  const { curve, end, bad } = run('./serve-product.js', 'product', '--seed', 1000, '--learningRate', 5e-5);
  yield {
    name: 'true reward of what users get, before and after ten rounds',
    value: `${curve[0].gold.toFixed(2)} → ${curve.at(-1).gold.toFixed(2)}`,
    target: 'rises',
    note: curve.map(({ gold }) => gold.toFixed(2)).join(', '),
  };
  yield {
    name: 'bad batches served beyond the canary',
    value: `${bad.served} of ${bad.batches}`,
    target: '0',
    note: `${bad.trained} versions were trained: ${bad.gatedOut} gated out, ${bad.canary} taken back as a canary; true reward ${end.toFixed(2)} in the end`,
  };
  const { kills, acknowledged, lost } = run('./serve-kills.js', 'kills');
  yield {
    name: 'acknowledged feedback lost in kills',
    value: `${lost} of ${acknowledged}`,
    target: '0',
    note: `${kills} kills -9 right after a 200`,
  };
}

export const serve = { sections: { throughput, fuzz, proxy, product } };
