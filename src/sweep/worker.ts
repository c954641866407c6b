/** A worker process of pool.ts: trains the cells it receives, one after another, until its parent disconnects. */
import { HeedError, messageOf } from '../error.ts';
import { loadPlugins } from '../plugins.ts';
import { runCell } from './cell.ts';
import type { CellMessage, CellOrder } from './pool.ts';

const stopping = new AbortController();
let busy = false;
const send = (message: CellMessage) => process.connected && process.send!(message);

// Ctrl-C reaches every process of a terminal; the sweep tells workers to stop by disconnecting
process.on('SIGINT', () => {});
process.on('disconnect', () => {
  stopping.abort();
  if (!busy) process.exit();
});

process.on('message', async ({ cell, folder, checkpointSeconds }: CellOrder) => {
  busy = true;
  try {
    await loadPlugins();
    const { signal } = stopping;
    const onStep = ({ step }: { step: number }) => send({ kind: 'step', step });
    const result = await runCell(cell, folder, { signal, checkpointSeconds, onStep });
    if (result) send({ kind: 'finished', result });
  } catch (error) {
    send({ kind: 'failed', message: messageOf(error), hint: error instanceof HeedError ? error.hint : undefined });
  }
  busy = false;
  if (!process.connected) process.exit();
});
send({ kind: 'ready' });
