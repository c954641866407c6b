/**
 * What a decoding step could reach on this machine: the bytes that it has to read, at the bandwidth of memory, and its
 * products, at the rate of large products of the same shapes.
 */
import { Worker } from 'node:worker_threads';
import { input } from '../dist/engine/graph.js';
import { trace, Value } from '../dist/engine/index.js';
import { matmul } from '../dist/engine/ops/matmul.js';
import { runtime } from '../dist/engine/runtime/current.js';
import { allocate } from '../dist/engine/value.js';
import { quantize, quantizedProduct } from '../dist/nn/blocks.js';
import { layerLinears } from '../dist/nn/index.js';
import { random } from '../dist/random.js';
import { median } from './figures.js';

const MEGABYTES = 128;
const CALLS = 15;

/** Bytes a second that `threads` read at once: each compares two equal arrays that no cache holds. */
export async function bandwidth(threads) {
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    const [one, other] = [1, 1].map((fill) => Buffer.alloc(workerData, fill));
    parentPort.on('message', () => { one.equals(other); parentPort.postMessage(0); });
    parentPort.postMessage(0);`;
  const size = MEGABYTES * 2 ** 20;
  const workers = Array.from({ length: threads }, () => new Worker(program, { eval: true, workerData: size }));
  const answers = () => Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  await answers();
  const rates = [];
  for (let round = 0; round < 7; round++) {
    const start = performance.now();
    const done = answers();
    for (const worker of workers) worker.postMessage(0);
    await done;
    rates.push((1000 * threads * 2 * size) / (performance.now() - start));
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  return median(rates);
}

/** Multiplications a second of the linear layers and the output layer, for 256 rows: the best that such products reach. */
export function products(config, { bits, precision } = {}) {
  const ROWS = 256;
  const shapes = [...layerLinears(config).map(({ shape }) => shape), [config.vocabularySize, config.hiddenSize]];
  const draw = random(0, 'products');
  let [count, seconds] = [0, 0];
  for (const [out, inner] of shapes) {
    const weight = new Value('float32', [out, inner]);
    const x = new Value('float32', [ROWS, inner]);
    for (const { data } of [weight, x]) for (let i = 0; i < data.length; i++) data[i] = draw.uniform() - 0.5;
    // a layer's products come once for each layer, the output layer's once
    const repeats = out === config.vocabularySize ? 1 : config.layers;
    count += repeats * ROWS * out * inner;
    if (precision === 'bf16') {
      seconds += repeats * packedSeconds(ROWS, [out, inner], weight, x);
      for (const thing of [weight, x]) thing[Symbol.dispose]();
      continue;
    }
    const rounded = bits && quantize(weight.data, [out, inner], bits);
    const program = trace(
      (g) => {
        const rows = input(g, 'x', [ROWS, inner]);
        const y = rounded
          ? quantizedProduct(rows, rounded)
          : matmul(rows, input(g, 'weight', [out, inner]), { transposeB: true });
        return { y };
      },
      { fixed: rounded ? undefined : { weight } },
    );
    const y = new Value('float32', [ROWS, out]);
    const binding = program.bind({ x }, { y });
    binding.run();
    seconds += repeats * secondsOf(() => binding.run());
    for (const thing of [binding, program, weight, x, y]) thing[Symbol.dispose]();
  }
  return count / seconds;
}

/** The median of some calls. */
function secondsOf(work) {
  const times = Array.from({ length: CALLS }, () => {
    const start = performance.now();
    work();
    return (performance.now() - start) / 1000;
  });
  return median(times);
}

/** Seconds of a product by a weight that is packed as bfloat16. */
function packedSeconds(rows, [out, inner], weight, x) {
  const operations = runtime().bf16Operations();
  const { bytes, copy } = operations.packing(out, inner);
  const [packed, narrow, y] = [
    allocate('bfloat16', bytes / 2),
    allocate('bfloat16', rows * inner),
    allocate('float32', rows * out),
  ];
  copy(weight.data, packed);
  operations.toBf16(rows * inner)(x.data, narrow);
  const multiply = operations.packedProduct({ rows, inner, out, bias: false, narrow: false });
  multiply(narrow, packed, y);
  return secondsOf(() => multiply(narrow, packed, y));
}

/** Bytes that a step reads, and its multiplications, for `batch` rows with `past` tokens each. */
export function stepOf(config, { batch, past, bits, precision }) {
  const weights =
    config.layers * layerLinears(config).reduce((sum, { shape: [out, inner] }) => sum + out * inner, 0) +
    config.vocabularySize * config.hiddenSize;
  const wide = precision === 'bf16' ? 2 : 4;
  const perWeight = bits ? bits / 8 + 4 / 32 : wide; // a scale for each block of 32
  const cached = config.layers * 2 * wide * config.keyValueHeads * config.headSize;
  return {
    bytes: weights * perWeight + batch * past * cached,
    products: batch * (weights + 2 * config.layers * config.heads * config.headSize * past),
  };
}
