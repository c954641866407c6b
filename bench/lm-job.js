/**
 * One measured job of the language half, in a process of its own so that its peak memory is its own:
 *
 *   node bench/lm-job.js JOB --option value …
 *
 * Prints one line of JSON with the job's fields and `peakRssMb`. Models have random weights, in the shapes of
 * lm-shapes.json, unless --model names a folder.
 */
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadCheckpoint, saveCheckpoint } from '../dist/lm/checkpoint.js';
import { readConfig } from '../dist/lm/config.js';
import { createParameters, decoderParameters } from '../dist/nn/index.js';
import { random } from '../dist/random.js';

const shapes = JSON.parse(readFileSync(new URL('./lm-shapes.json', import.meta.url), 'utf8'));

const jobs = {
  /** --shape S --out FOLDER → bytes of the weights: a checkpoint for `load`. */
  checkpoint({ shape, out }) {
    const raw = shapes[shape].config;
    const config = readConfig(raw, 'lm-shapes.json');
    const parameters = createParameters(decoderParameters(config), random(0, 'bench'));
    saveCheckpoint(out, { config, raw, parameters });
    return { bytes: weightFiles(out).reduce((sum, file) => sum + statSync(file).size, 0) };
  },

  /** --model FOLDER → seconds, and what memory grew by at most. */
  async load({ model }) {
    for (const file of weightFiles(model)) for await (const _ of createReadStream(file)); // now they are in the disk cache
    const before = process.memoryUsage.rss();
    const start = performance.now();
    loadCheckpoint(model);
    const seconds = (performance.now() - start) / 1000;
    return { seconds, grownRssMb: peakRssMb() - before / 1e6 };
  },
};

const weightFiles = (folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.safetensors'))
    .map((name) => join(folder, name));

const peakRssMb = () => (process.resourceUsage().maxRSS * 1024) / 1e6;

const whole = ['batch', 'bits', 'lora', 'new', 'prompt', 'steps'];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(
    ['shape', 'model', 'out', 'packed', 'padded', ...whole].map((name) => [name, { type: 'string' }]),
  ),
});
const [name] = positionals;
if (!Object.hasOwn(jobs, name ?? '')) fail(`no job "${name ?? ''}": ${Object.keys(jobs).join(', ')}`);
if (values.shape && !Object.hasOwn(shapes, values.shape))
  fail(`no shape "${values.shape}": ${Object.keys(shapes).join(', ')}`);
for (const option of whole) {
  if (values[option] === undefined) continue;
  const number = Number(values[option]);
  if (!Number.isInteger(number) || number < 1) fail(`--${option} wants a whole number from 1 up`);
  values[option] = number;
}
const figures = await jobs[name](values);
console.log(JSON.stringify({ ...figures, peakRssMb: Math.round(peakRssMb()) }));

function fail(message) {
  console.error(message);
  process.exit(2);
}
