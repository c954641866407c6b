/**
 * A decoder with a cache of the keys and values of earlier tokens: a run computes new tokens only.
 *
 * Uses ONNX Runtime's GroupQueryAttention, which rotates, appends to the cache in place and attends, each row by its
 * own length. Rows are padded on the right; nothing reads the padding, and later tokens overwrite it.
 */
import { Disposables } from '../disposables.ts';
import { constant, emitMany, type Graph, input, type Tensor } from '../engine/graph.ts';
import { rotary, tokensOf } from '../engine/ops/attention.ts';
import { add, sub } from '../engine/ops/elementwise.ts';
import { gather } from '../engine/ops/gather.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { logSoftmax } from '../engine/ops/normalize.ts';
import { concat, expand, reshape, slice } from '../engine/ops/shape.ts';
import type { Precision } from '../engine/precision.ts';
import { type Binding, type CompileOptions, trace } from '../engine/program.ts';
import { runtime } from '../engine/runtime/current.ts';
import { newest, newestToRead } from '../engine/runtime/newest.ts';
import { allocate, Value } from '../engine/value.ts';
import { HeedError } from '../error.ts';
import { breathe } from '../node.ts';
import { type Bf16Layers, createBf16Layers } from './bf16-decoder.ts';
import { type Attend, cappedLogits, decoder, headOf, type Linear, logitsOf } from './decoder.ts';
import {
  type DecoderConfig,
  headName,
  isWindowed,
  layerPositions,
  linearLookup,
  type RotaryPositions,
} from './decoder-config.ts';
import { type LoraOptions, loraLinear } from './lora.ts';
import { type Bits, quantize, quantizedLinear, quantizedProduct } from './quantize.ts';
import { rotaryTables } from './rotary-tables.ts';

/** A compiled decoder. */
export interface CachedDecoder {
  /** Bytes of a token's keys and values in a cache. */
  readonly tokenBytes: number;
  /**
   * An empty cache for rows of at most `capacity` tokens each.
   *
   * @throws HeedError where the model has fewer positions.
   */
  createCache(rows: number, capacity: number): DecoderCache;
  /** To be called when weights that are not frozen have changed: in bfloat16, it keeps copies of them. */
  refresh(): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** The keys and values of the tokens in each row. */
export interface DecoderCache {
  /** Number of rows. */
  readonly rows: number;
  /** Maximum number of tokens in a row. */
  readonly capacity: number;
  /** Bytes of keys and values. */
  readonly bytes: number;
  /**
   * A run of `time` new tokens for each of `rows` rows from `first` on. Dispose of it when done. `everyToken` gives the
   * logits after each token, not only after the last of each row; then no row may be shorter than the step.
   */
  step(first: number, rows: number, time: number, everyToken?: boolean): CachedStep;
  /** Copies a row's first `length` tokens to a row of this cache, or of another one with room for them. */
  copyRow(from: number, length: number, to: number, into?: DecoderCache): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** New tokens of some rows of a cache: fill in, run, read. */
export interface CachedStep {
  /**
   * Sets one row's new tokens, which follow `past` tokens in the cache. Rows of several tokens begin at 0, and may be
   * shorter than the step. Where the step has one row, that row may have a past.
   */
  fill(row: number, tokens: ArrayLike<number>, past: number): void;
  /**
   * The logits after each row's last token, [rows, vocabulary], or after every token, [rows · time, vocabulary]; valid
   * until another step of the cache runs.
   */
  readonly logits: Float32Array;
  /** log Σ e^logit of each row of the logits. */
  readonly logSumExp: Float32Array;
  /** Computes the logits, and appends keys and values to the cache. */
  run(): void;
  /**
   * The same in another thread. In bfloat16, products are computed in JavaScript's, which gets its turn between them, or
   * after the whole step if it has few tokens.
   */
  runAsync(): Promise<void>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** How a decoder is compiled. */
export interface CachedDecoderOptions extends Pick<CompileOptions, 'profile' | 'singleThread'> {
  /** Adapters, which are among the weights by their names. */
  adapters?: LoraOptions;
  /** The weights never change: the decoder keeps a copy of them in a faster layout. */
  frozen?: boolean;
  /** Quantize the linear layers and the output layer, which must be frozen, to this many bits. */
  bits?: Bits;
  /**
   * What the linear layers and the output layer compute with: float32 by default, or bfloat16 where `resolvePrecision`
   * gives it. In bfloat16, the decoder reads copies of the weights (see `refresh`).
   */
  precision?: Precision;
}

/**
 * Compiles the decoder once for all batches, lengths and caches. `weights` are read at each run and may change between
 * runs, unless they are frozen; in bfloat16, call `refresh` then.
 */
export function createCachedDecoder(
  config: DecoderConfig,
  weights: Readonly<Record<string, Value>>,
  options: CachedDecoderOptions = {},
): CachedDecoder {
  const { bits, frozen, precision, adapters, ...compileOptions } = options;
  const bf16 = precision === 'bf16' ? bf16LayersOf(config, weights, bits) : undefined;
  const base = bf16?.linear ?? (bits ? quantizedLinear(config, weights, bits) : flatLinear(config));
  const map = adapters ? loraLinear(config, adapters, base) : base;
  const program = trace(
    (g) => {
      const ids = input(g, 'ids', ['rows', 'time'], 'int32');
      const positions = input(g, 'positions', ['rows', 'time'], 'int32');
      const { attend, present } = cachedAttention(g, config, positions);
      const hidden = decoder(config, { ids, positions, attend, linear: map });
      const read = gather(tokensOf(hidden), input(g, 'read', ['places'], 'int32'));
      const logits =
        bf16 && !map.head ? cappedLogits(config, bf16.products(read)) : outputLayer(config, weights, bits, map)(read);
      // any column of the difference: ONNX Runtime computes a log-softmax far faster than a sum of exponentials
      const logSumExp = sub(slice(logits, 1, 0, 1), slice(logSoftmax(logits), 1, 0, 1));
      return { logits, logSumExp, ...present };
    },
    { ...compileOptions, fixed: frozen ? weights : undefined },
  );
  bf16?.refresh();

  return {
    tokenBytes: tokenBytesOf(config),
    createCache: (rows, capacity) =>
      createCache(config, { rows, capacity, weights, bind: program.bind, callsBack: bf16 !== undefined }),
    refresh: () => bf16?.refresh(),
    [Symbol.dispose]: program[Symbol.dispose],
  };
}

/** @throws HeedError where this machine lacks bfloat16, or the weights are quantized. */
function bf16LayersOf(
  config: DecoderConfig,
  weights: Readonly<Record<string, Value>>,
  bits: Bits | undefined,
): Bf16Layers {
  if (bits) throw new HeedError(`a decoder in bf16 and ${bits} bits exclude each other`, { hint: 'choose one' });
  const operations = runtime().bf16Operations?.();
  if (!operations) throw new HeedError('a page has no bfloat16 products', { hint: 'use precision fp32' });
  return createBf16Layers(operations, config, weights);
}

function outputLayer(
  config: DecoderConfig,
  weights: Readonly<Record<string, Value>>,
  bits: Bits | undefined,
  map: Linear,
) {
  const name = headName(config);
  const shape: [number, number] = [config.vocabularySize, config.hiddenSize];
  const quantized = bits && !map.head && quantize(weights[name].data as Float32Array, shape, bits);
  return (x: Tensor) =>
    quantized
      ? cappedLogits(config, quantizedProduct(x, quantized))
      : logitsOf(config, x, headOf(x.graph, config, map));
}

/** The decoder's own weights, by products of [rows, time, in] without a reshape. */
function flatLinear(config: DecoderConfig): Linear {
  const lookUp = linearLookup(config);
  return (x, name) => {
    const { shape, bias } = lookUp(name);
    const y = matmul(x, input(x.graph, `${name}.weight`, shape), { transposeB: true });
    return bias ? add(y, input(x.graph, `${name}.bias`, [shape[0]])) : y;
  };
}

const pastName = (layer: number, what: 'keys' | 'values') => `past ${what} ${layer}`;
const presentName = (layer: number, what: 'keys' | 'values') => `present ${what} ${layer}`;

/** Attention through the cache, and the cache after it. */
function cachedAttention(g: Graph, config: DecoderConfig, positions: Tensor) {
  const { heads, keyValueHeads, headSize, slidingWindow, attentionScale, attentionSoftCap } = config;
  const lengths = input(g, 'last positions', ['rows'], 'int32');
  const total = input(g, 'total', [], 'int32');
  const rotations = rotationsOf(config).map(({ positions: own, names }) => {
    const half = (own.size ?? headSize) / 2;
    return {
      own,
      tables: names.map((name) => input(g, name, ['capacity', half])),
      fused: rotatesItself(own, headSize),
    };
  });
  const size = storedSize(headSize);
  const cacheShape = ['rows', keyValueHeads, 'capacity', size];
  const present: Record<string, Tensor> = {};
  const attend: Attend = (q, k, v, layer) => {
    const own = layerPositions(config, layer);
    const rotation = rotations.find((rotation) => rotation.own === own);
    const { tables, fused } = rotation ?? { tables: [], fused: false };
    const turned = (x: Tensor) => (rotation && !fused ? rotary(x, positions, tables[0], tables[1], headSize) : x);
    const inputs = [widen(turned(q), headSize), widen(turned(k), headSize), widen(v, headSize)];
    const past = (['keys', 'values'] as const).map((what) => input(g, pastName(layer, what), cacheShape));
    const [mixed, keys, values] = emitMany(
      'GroupQueryAttention',
      [...(unsplit(inputs) ?? inputs), ...past, lengths, total, ...(fused ? tables : [undefined, undefined])],
      [{ shape: inputs[0].shape }, { shape: cacheShape }, { shape: cacheShape }],
      {
        domain: 'com.microsoft',
        attributes: {
          num_heads: heads,
          kv_num_heads: keyValueHeads,
          do_rotary: Number(fused),
          scale: { float: attentionScale ?? 1 / Math.sqrt(headSize) },
          ...(isWindowed(config, layer) && { local_window_size: slidingWindow }),
          ...(attentionSoftCap !== undefined && { softcap: { float: attentionSoftCap } }),
        },
      },
    );
    present[presentName(layer, 'keys')] = keys;
    present[presentName(layer, 'values')] = values;
    return narrow(mixed, headSize);
  };
  return { attend, present };
}

/** What three tensors were split from, which the operator takes as its first input, without the others. */
function unsplit([q, k, v]: readonly Tensor[]): (Tensor | undefined)[] | undefined {
  const made = q.graph.producer.get(q.name);
  const isWhole = made?.op === 'Split' && made.outputs.join() === [q, k, v].map(({ name }) => name).join();
  return isWhole ? [made.inputTensors[0], undefined, undefined] : undefined;
}

// What the operator requires of a head's size. Heads of other sizes are rotated before it, and widened with zeros.
const rotatesItself = ({ size }: RotaryPositions, headSize: number) =>
  (size ?? headSize) === headSize && headSize % 16 === 0;
const storedSize = (headSize: number) => Math.ceil(headSize / 8) * 8;

function widen(x: Tensor, headSize: number): Tensor {
  const size = storedSize(headSize);
  if (size === headSize) return x;
  const [rows, time, width] = x.shape;
  const heads = Number(width) / headSize;
  const zeros = expand(constant(x.graph, [0], [1, 1, 1, 1]), [rows, time, heads, size - headSize]);
  return reshape(concat([reshape(x, [rows, time, heads, headSize]), zeros], 3), [rows, time, heads * size]);
}

function narrow(x: Tensor, headSize: number): Tensor {
  const size = storedSize(headSize);
  if (size === headSize) return x;
  const [rows, time, width] = x.shape;
  const heads = Number(width) / size;
  return reshape(slice(reshape(x, [rows, time, heads, size]), 3, 0, headSize), [rows, time, heads * headSize]);
}

const tokenBytesOf = ({ layers, keyValueHeads, headSize }: DecoderConfig) =>
  layers * 2 * 4 * keyValueHeads * storedSize(headSize);

interface CacheParts {
  rows: number;
  capacity: number;
  weights: Readonly<Record<string, Value>>;
  bind(inputs: Record<string, Value>, outputs: Record<string, Value>): Binding;
  /** Whether JavaScript computes nodes. */
  callsBack: boolean;
}

/** A node that calls back from another thread takes some 90 µs longer: half of a step of few tokens. */
const FEW_TOKENS = 64;

function createCache(config: DecoderConfig, { rows, capacity, weights, bind, callsBack }: CacheParts): DecoderCache {
  const { keyValueHeads, headSize, layers, maxPositions, vocabularySize } = config;
  if (capacity > maxPositions) {
    throw new HeedError(`a cache for ${capacity} tokens, but the model has ${maxPositions} positions`, {
      hint: 'shorten the prompt, or generate fewer tokens',
    });
  }
  const own = new Disposables();
  const size = storedSize(headSize);
  const headLength = capacity * size;
  const rowLength = keyValueHeads * headLength;
  const arrays = Array.from({ length: layers }, () => ({
    keys: allocate('float32', rows * rowLength),
    values: allocate('float32', rows * rowLength),
  }));
  const shared: Record<string, Value> = {};
  for (const { positions, names } of rotationsOf(config)) {
    const { cos, sin, half } = rotaryTables(positions, headSize, capacity);
    shared[names[0]] = own.use(Value.of('float32', [capacity, half], cos));
    shared[names[1]] = own.use(Value.of('float32', [capacity, half], sin));
  }
  const logits = allocate('float32', rows * vocabularySize);
  const logSumExp = allocate('float32', rows);
  const cache: DecoderCache & { arrays: typeof arrays } = {
    arrays,
    rows,
    capacity,
    bytes: rows * capacity * tokenBytesOf(config),
    step(first, count, time, everyToken = false) {
      const mine = new Disposables();
      const inputs: Record<string, Value> = { ...weights, ...shared };
      const outputs: Record<string, Value> = {};
      arrays.forEach((layer, i) => {
        for (const what of ['keys', 'values'] as const) {
          const part = layer[what].subarray(first * rowLength, (first + count) * rowLength);
          const value = mine.use(new Value('float32', [count, keyValueHeads, capacity, size], part));
          inputs[pastName(i, what)] = value;
          outputs[presentName(i, what)] = value;
        }
      });
      const places = everyToken ? count * time : count;
      if (places > rows) {
        outputs.logits = mine.use(new Value('float32', [places, vocabularySize]));
        outputs.logSumExp = mine.use(new Value('float32', [places, 1]));
      } else {
        const shared = logits.subarray(0, places * vocabularySize);
        outputs.logits = mine.use(new Value('float32', [places, vocabularySize], shared));
        outputs.logSumExp = mine.use(new Value('float32', [places, 1], logSumExp.subarray(0, places)));
      }
      return createStep({ rows: count, time, everyToken, inputs, outputs, bind, callsBack, mine });
    },
    copyRow(from, length, to, into = cache) {
      const target = into as typeof cache;
      const [short, tall] = [length * size, target.capacity * size];
      arrays.forEach((layer, i) => {
        for (const what of ['keys', 'values'] as const) {
          for (let head = 0; head < keyValueHeads; head++) {
            const start = (from * keyValueHeads + head) * headLength;
            const source = newestToRead(layer[what].subarray(start, start + short));
            newest(target.arrays[i][what]).set(source, (to * keyValueHeads + head) * tall);
          }
        }
      });
    },
    [Symbol.dispose]: own[Symbol.dispose],
  };
  return cache;
}

/** The rotations of all layers, each with the names of its tables of cosines and sines. */
function rotationsOf(config: DecoderConfig): { positions: RotaryPositions; names: [cos: string, sin: string] }[] {
  const all = new Set(Array.from({ length: config.layers }, (_, layer) => layerPositions(config, layer)));
  return [...all].flatMap((positions, i) =>
    positions ? [{ positions, names: i === 0 ? ['cos', 'sin'] : [`cos ${i}`, `sin ${i}`] }] : [],
  );
}

interface StepParts extends Pick<CacheParts, 'bind' | 'callsBack' | 'rows'> {
  time: number;
  everyToken: boolean;
  inputs: Record<string, Value>;
  outputs: Record<string, Value>;
  mine: Disposables;
}

function createStep({ rows, time, everyToken, inputs, outputs, bind, callsBack, mine }: StepParts): CachedStep {
  const ids = mine.use(new Value('int32', [rows, time]));
  const positions = mine.use(new Value('int32', [rows, time]));
  const read = mine.use(new Value('int32', [everyToken ? rows * time : rows]));
  if (everyToken) for (let i = 0; i < read.data.length; i++) read.data[i] = i;
  const ends = mine.use(new Value('int32', [rows]));
  const total = mine.use(new Value('int32', []));
  const binding = mine.use(bind({ ...inputs, ids, positions, read, total, 'last positions': ends }, outputs));
  const prepare = () => {
    // for a prompt the operator needs the time with padding; for later tokens, the longest row
    total.data[0] = time > 1 && rows > 1 ? time : ends.data.reduce((a, b) => Math.max(a, b)) + 1;
  };
  return {
    fill(row, tokens, past) {
      for (let i = 0; i < time; i++) {
        ids.data[row * time + i] = i < tokens.length ? tokens[i] : 0;
        positions.data[row * time + i] = past + Math.min(i, tokens.length - 1);
      }
      if (!everyToken) read.data[row] = row * time + tokens.length - 1;
      ends.data[row] = past + tokens.length - 1;
    },
    get logits() {
      return outputs.logits.data as Float32Array;
    },
    get logSumExp() {
      return outputs.logSumExp.data as Float32Array;
    },
    run() {
      prepare();
      binding.run();
    },
    runAsync() {
      prepare();
      if (!callsBack || rows * time > FEW_TOKENS) return binding.runAsync();
      binding.run();
      return breathe();
    },
    [Symbol.dispose]: mine[Symbol.dispose],
  };
}
