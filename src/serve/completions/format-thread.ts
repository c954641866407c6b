/** A thread that computes what formats allow, so that no schema holds the event loop. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type CarriedError, HeedError, messageOf, revived } from '../../error.ts';
import { broughtFile } from '../../node.ts';
import { createFormatEngine, type FormatOrder, type FormatReplies } from './format-engine.ts';
import { timeReader } from './processor-time.ts';

/** Computes one order after another. */
export interface FormatThread {
  /** How often it has ended: what it knew before is lost. */
  readonly ends: number;
  /** @throws HeedError that the order failed with, that it took too long, or that the thread has ended. */
  ask<O extends FormatOrder>(order: O): Promise<FormatReplies[O['kind']]>;
}

interface Waiting {
  order: FormatOrder;
  resolve(reply: unknown): void;
  reject(error: unknown): void;
}

/** Seconds of the processor after which an order counts as one that never ends. */
const PATIENCE = 20;
/** Seconds by the clock after which it does, however little of the processor the thread got. */
const LONGEST = 600;
/** Milliseconds between two looks at what the thread has taken. */
const LOOKS = 200;
/** Mebibytes of the thread's heap. */
const MEMORY = 1024;

/**
 * Starts a thread when it is first asked, and another one when it has ended, or when it has computed one order for
 * `patience` seconds. That order fails; those that wait behind it are sent to the next thread. The seconds
 * are the processor's where the system tells them: a busy machine makes no order endless.
 */
export function createFormatThread(patience = PATIENCE): FormatThread {
  // no thread of Node 20 reads TypeScript
  if (extname(import.meta.url) === '.ts') {
    const carryOut = createFormatEngine();
    return { ends: 0, ask: async (order) => carryOut(order) as never };
  }
  const waiting = new Map<number, Waiting>();
  let worker: Worker | undefined;
  /** The thread's own seconds; it has none until it has started. */
  let timeOf = () => 0;
  let looks: NodeJS.Timeout | undefined;
  /** When the thread began with the order that it computes: by its own time, and by the clock; seconds. */
  let began = [0, 0];
  let ends = 0;
  let next = 0;

  const clock = () => performance.now() / 1000;
  const times = () => [timeOf(), clock()];
  const look = () => {
    const [computed, passed] = times().map((time, i) => time - began[i]);
    if (computed > patience || passed > LONGEST) end(`it takes more than ${patience} s`);
  };
  const rest = () => {
    clearInterval(looks);
    looks = undefined;
  };
  const end = (why: string) => {
    const ended = worker;
    worker = undefined;
    timeOf = () => 0;
    rest();
    ends++;
    void ended?.terminate();
    const [[id, computed] = [], ...behind] = waiting;
    if (id === undefined) return;
    waiting.delete(id);
    computed?.reject(new HeedError(`The format could not be computed: ${why}.`, { hint: 'Send a simpler schema.' }));
    for (const [id, { order }] of behind) send(id, order);
  };
  const send = (id: number, order: FormatOrder) => {
    if (!worker) began = times();
    worker ??= start();
    looks ??= setInterval(look, LOOKS);
    worker.ref();
    worker.postMessage({ id, order });
  };
  const start = (): Worker => {
    const started = new Worker(broughtFile('./format-worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MEMORY },
    });
    started.once('message', (place: string | undefined) => {
      timeOf = timeReader(place) ?? clock;
      began = times();
      started.on('message', settle);
    });
    const settle = ({ id, reply, failed }: { id: number; reply: unknown; failed?: CarriedError }) => {
      if (started !== worker) return;
      const asked = waiting.get(id);
      waiting.delete(id);
      began = times();
      if (waiting.size === 0) {
        started.unref();
        rest();
      }
      if (failed) asked?.reject(revived(failed));
      else asked?.resolve(reply);
    };
    started.once('error', (error) => started === worker && end(messageOf(error)));
    started.once('exit', (code) => started === worker && end(`its thread ended with ${code}`));
    return started;
  };

  return {
    get ends() {
      return ends;
    },
    async ask(order) {
      const id = next++;
      if (waiting.size === 0) began = times();
      return new Promise((resolve, reject) => {
        waiting.set(id, { order, resolve: resolve as (reply: unknown) => void, reject });
        send(id, order);
      });
    },
  };
}
