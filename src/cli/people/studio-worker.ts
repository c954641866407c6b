/** The thread of studio-thread.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { HeedError, messageOf } from '../../error.ts';
import { startStudio } from '../../feedback/server/studio-server.ts';
import { openDatabase } from '../../feedback/store/database.ts';
import type { StudioMessage, ThreadedStudio } from './studio-thread.ts';

const send = (message: StudioMessage) => parentPort!.postMessage(message);
const { store, ...options } = workerData as ThreadedStudio;

try {
  const database = await openDatabase(store);
  try {
    const studio = await startStudio({ ...options, database, onError: (text) => send({ kind: 'said', text }) });
    send({ kind: 'open', url: studio.url, link: studio.link });
    await new Promise((resolve) => parentPort!.once('message', resolve));
    await studio.close();
  } finally {
    await database.close();
  }
} catch (error) {
  send({ kind: 'failed', message: messageOf(error), hint: error instanceof HeedError ? error.hint : undefined });
} finally {
  parentPort!.close();
}
