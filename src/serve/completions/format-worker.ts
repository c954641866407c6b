/** The thread that format-thread.ts starts. */
import { parentPort } from 'node:worker_threads';
import { carried } from '../../error.ts';
import { createFormatEngine, type FormatOrder } from './format-engine.ts';
import { ownTimes } from './processor-time.ts';

const carryOut = createFormatEngine();
parentPort!.on('message', ({ id, order }: { id: number; order: FormatOrder }) => {
  try {
    parentPort!.postMessage({ id, reply: carryOut(order) });
  } catch (error) {
    parentPort!.postMessage({ id, failed: carried(error) });
  }
});
parentPort!.postMessage(ownTimes());
