/**
 * node bench/peers/node-llama-cpp/generate.js --shape 135M --type Q8_0 --batch 8 --prompt 64 --new 64
 *
 * Greedy generation with node-llama-cpp on the CPU: every row is a sequence of one context, evaluated together as its
 * users do. Random weights; a fixed number of tokens for each row. Prints one line of JSON, medians over the repeats:
 * tokens a second, and the milliseconds until every row has its first token.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeRandomGguf } from './random-gguf.js';

const shapes = JSON.parse(readFileSync(new URL('../../lm-shapes.json', import.meta.url), 'utf8'));
const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: '135M' },
    type: { type: 'string', default: 'Q8_0' },
    batch: { type: 'string', default: '1' },
    prompt: { type: 'string', default: '64' },
    new: { type: 'string', default: '64' },
    repeats: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(Math.min(2, availableParallelism())) },
    /** A GGUF file to use and keep: made where it is not there. */
    file: { type: 'string' },
  },
});
const { shape, type } = values;
const [batch, prompt, fresh, repeats, threads] = ['batch', 'prompt', 'new', 'repeats', 'threads'].map((name) =>
  Number(values[name]),
);
if (!Object.hasOwn(shapes, shape) || !['F32', 'Q8_0'].includes(type)) {
  console.error(`--shape is one of ${Object.keys(shapes).join(', ')}; --type is F32 or Q8_0`);
  process.exit(2);
}
const { config } = shapes[shape];

let llamaCpp;
try {
  llamaCpp = await import('node-llama-cpp');
} catch (error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  console.error(
    'node-llama-cpp is not installed: npm install --ignore-scripts --no-package-lock --prefix bench/peers/node-llama-cpp',
  );
  process.exit(3);
}

const folder = values.file ? undefined : mkdtempSync(join(tmpdir(), 'heed-bench-'));
const file = values.file ?? join(folder, 'model.gguf');
try {
  if (!existsSync(file)) writeRandomGguf(file, config, type);
  console.log(JSON.stringify(await measure()));
} finally {
  if (folder) rmSync(folder, { recursive: true });
}
process.exit(0); // its worker threads would keep the process

async function measure() {
  const { getLlama, LlamaLogLevel } = llamaCpp;
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, progressLogs: false });
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({
    sequences: batch,
    contextSize: prompt + fresh,
    batchSize: batch * prompt,
    threads: { ideal: threads, min: threads },
  });
  const sequences = Array.from({ length: batch }, () => context.getSequence());
  const ids = sequences.map((_, row) => Array.from({ length: prompt }, (_, i) => 1 + ((row * 131 + i * 7) % 1000)));

  async function generate(sequence, row) {
    await sequence.clearHistory();
    let count = 0;
    let first;
    for await (const _ of sequence.evaluate(ids[row], { temperature: 0, yieldEogToken: true })) {
      first ??= performance.now();
      if (++count === fresh) return first;
    }
    throw new Error(`a row ended after ${count} of ${fresh} tokens`);
  }

  const times = [];
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const start = performance.now();
    const firsts = await Promise.all(sequences.map(generate));
    const end = performance.now();
    // the first round warms up
    if (repeat > 0) times.push({ total: end - start, first: Math.max(...firsts) - start });
  }
  const median = (of) => times.map(of).sort((a, b) => a - b)[times.length >> 1];
  return {
    shape,
    type,
    batch,
    prompt,
    new: fresh,
    threads,
    tokensPerSecond: +((batch * fresh * 1000) / median((t) => t.total)).toFixed(1),
    firstTokenMs: +median((t) => t.first).toFixed(2),
    perTokenMs: +median((t) => (t.total - t.first) / (fresh - 1)).toFixed(2),
    peakRssMb: Math.round((process.resourceUsage().maxRSS * 1024) / 1e6),
    version: JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')).dependencies[
      'node-llama-cpp'
    ],
  };
}
