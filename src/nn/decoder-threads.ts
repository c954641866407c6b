/**
 * Threads that compute the rows of a decoder's steps side by side, each with a share of the rows. In one program, threads
 * wait for each other at each of some hundred operators; here, once a step. That is faster for small models in bfloat16,
 * where a product takes little time and the weights, which every thread reads, are in the processor's caches. In float32
 * it is not: docs/lab/performance.md.
 */
import { device } from '../engine/device.ts';
import { runtime } from '../engine/runtime/current.ts';
import type { Value } from '../engine/value.ts';
import { addressOf, type ValueAddress } from '../engine/value-address.ts';
import { type CarriedError, HeedError, revived } from '../error.ts';
import { env, receiveMessageOnPort } from '../node.ts';
import { FAILED, type OrderedThread, order, startThread, waitFor } from '../threads/ordered-thread.ts';
import type { CachedDecoderOptions } from './decoder-cache.ts';
import type { DecoderConfig } from './decoder-config.ts';

/** What a thread traces its decoder from. */
export interface DecoderThreadData {
  config: DecoderConfig;
  options: CachedDecoderOptions;
  weights: Addresses;
}

/** Values by their names in the program, in memory that the threads share. */
export type Addresses = Readonly<Record<string, ValueAddress>>;

/** Orders to a thread: with a message in its port, or the number of a binding. */
export const decoderOrders = { message: 0, run: 1, release: 2, refresh: 3 } as const;

/** Values to bind, sent through the port. */
export interface BindMessage {
  id: number;
  inputs: Addresses;
  outputs: Addresses;
}

/** Threads that each have the same decoder. */
export interface DecoderThreads {
  readonly count: number;
  /** Binds values in one of the threads, beside the weights. They must live until the binding is disposed of. */
  bind(thread: number, inputs: Values, outputs: Values): ThreadBinding;
  /** Copies the weights, as they now are, where the decoder keeps copies. */
  refresh(): void;
  /** Ends the threads. */
  [Symbol.dispose](): void;
}
type Values = Readonly<Record<string, Value>>;

/** Values bound in a thread. */
export interface ThreadBinding {
  /** Starts a run. It has to be waited for before anything else is done with the thread. */
  start(): void;
  /** Waits for the end of the run. @throws HeedError with what went wrong in it. */
  wait(): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** More milliseconds than the calling thread takes to choose the tokens of a step. */
const SAMPLING = 3;
/** Rows that are worth a thread. */
export const LEAST_ROWS = 8;
const MOST_NUMBERS = 2 ** 25; // of weights

/**
 * Starts threads for steps of so many rows, one for each core but that of the calling thread; undefined where they would
 * not be faster, or cannot be started.
 */
export async function startDecoderThreads(
  config: DecoderConfig,
  weights: Values,
  options: CachedDecoderOptions,
  rows: number,
): Promise<DecoderThreads | undefined> {
  // no thread of Node 20 reads TypeScript
  if (typeof process === 'undefined' || import.meta.url.endsWith('.ts')) return undefined;
  const { threads: cores } = runtime();
  const numbers = Object.values(weights).reduce((sum, { size }) => sum + size, 0);
  const isSmall = numbers <= MOST_NUMBERS && options.precision === 'bf16';
  if (cores < 2 || rows < cores * LEAST_ROWS || !isSmall || options.profile || device() !== 'cpu') return undefined;
  const data: DecoderThreadData = {
    config,
    options: { ...options, singleThread: true },
    weights: addressesOf(weights),
  };
  const start = {
    file: new URL('./decoder-thread.js', import.meta.url),
    env: { ...env, HEED_THREADS: '1', HEED_DEVICE: 'cpu' },
    patience: SAMPLING,
    ended,
  };
  const starting = await Promise.allSettled(Array.from({ length: cores - 1 }, () => startThread({ ...start, data })));
  const threads = starting.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const end = () => {
    for (const { worker } of threads) void worker.terminate();
  };
  if (threads.length < cores - 1) {
    end(); // where a bundler left out the threads' file, say, one program computes all rows
    return undefined;
  }
  let bindings = 0;
  return {
    count: threads.length,
    bind(i, inputs, outputs) {
      const thread = threads[i];
      const id = bindings++;
      const own = Object.fromEntries(Object.entries(inputs).filter(([name]) => !(name in weights)));
      const message: BindMessage = { id, inputs: addressesOf(own), outputs: addressesOf(outputs) };
      thread.port.postMessage(message);
      carryOut(thread, decoderOrders.message, 0);
      return {
        start: () => order(thread, decoderOrders.run, id),
        wait: () => finish(thread),
        [Symbol.dispose]() {
          if (thread.dead === undefined) carryOut(thread, decoderOrders.release, id);
        },
      };
    },
    refresh() {
      for (const thread of threads) order(thread, decoderOrders.refresh, 0);
      threads.forEach(finish);
    },
    [Symbol.dispose]: end,
  };
}

function carryOut(thread: OrderedThread, what: number, id: number): void {
  order(thread, what, id);
  finish(thread);
}

function finish(thread: OrderedThread): void {
  waitFor(thread);
  if (thread.dead !== undefined) throw ended(thread);
  if (thread.control[FAILED]) throw revived(receiveMessageOnPort(thread.port)!.message as CarriedError);
}

const addressesOf = (values: Values): Addresses =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, addressOf(value)]));

const ended = ({ dead }: Pick<OrderedThread, 'dead'>) =>
  new HeedError(`a thread that generates text ended: ${dead}`, { hint: 'set HEED_THREADS=1, to use no other thread' });
