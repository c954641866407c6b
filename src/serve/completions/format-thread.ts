/** A thread that computes what formats allow, so that no schema holds the event loop. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type CarriedError, HeedError, messageOf, revived } from '../../error.ts';
import { broughtFile } from '../../node.ts';
import { createFormatEngine, type FormatOrder, type FormatReplies } from './format-engine.ts';

/** Computes one order after another. */
export interface FormatThread {
  /** How often it has ended: what it knew before is lost. */
  readonly ends: number;
  /** @throws HeedError that the order failed with, that it took too long, or that the thread has ended. */
  ask<O extends FormatOrder>(order: O): Promise<FormatReplies[O['kind']]>;
}

interface Waiting {
  resolve(reply: unknown): void;
  reject(error: unknown): void;
}

/** Milliseconds after which an order counts as one that never ends. */
const PATIENCE = 20_000;
/** Mebibytes of the thread's heap. */
const MEMORY = 1024;

/** Starts a thread when it is first asked, and another one when it has ended. */
export function createFormatThread(patience = PATIENCE): FormatThread {
  // no thread of Node 20 reads TypeScript
  if (extname(import.meta.url) === '.ts') {
    const carryOut = createFormatEngine();
    return { ends: 0, ask: async (order) => carryOut(order) as never };
  }
  const waiting = new Map<number, Waiting>();
  let worker: Worker | undefined;
  let ends = 0;
  let next = 0;

  const end = (why: string) => {
    const ended = worker;
    worker = undefined;
    ends++;
    void ended?.terminate();
    const error = new HeedError(`The format could not be computed: ${why}.`, { hint: 'Send a simpler schema.' });
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  const start = (): Worker => {
    const started = new Worker(broughtFile('./format-worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MEMORY },
    });
    started.on('message', ({ id, reply, failed }: { id: number; reply: unknown; failed?: CarriedError }) => {
      const asked = waiting.get(id);
      waiting.delete(id);
      if (waiting.size === 0) started.unref();
      if (failed) asked?.reject(revived(failed));
      else asked?.resolve(reply);
    });
    started.once('error', (error) => started === worker && end(messageOf(error)));
    started.once('exit', (code) => started === worker && end(`its thread ended with ${code}`));
    return started;
  };

  return {
    get ends() {
      return ends;
    },
    async ask(order) {
      worker ??= start();
      const asked = worker;
      const id = next++;
      const timer = setTimeout(() => asked === worker && end(`it takes more than ${patience / 1000} s`), patience);
      try {
        return await new Promise((resolve, reject) => {
          waiting.set(id, { resolve: resolve as (reply: unknown) => void, reject });
          asked.ref();
          asked.postMessage({ id, order });
        });
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
