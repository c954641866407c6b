/** The thread of studio-thread.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { HeedError, messageOf } from '../../error.ts';
import { openDatabase, startStudio } from '../../feedback/index.ts';
import type { Saying, ThreadedStudio } from './studio-thread.ts';

const tell = (saying: Saying) => parentPort!.postMessage(saying);
const { store, ...options } = workerData as ThreadedStudio;

try {
  const database = await openDatabase(store);
  try {
    const studio = await startStudio({ ...options, database, onError: (text) => tell({ kind: 'said', text }) });
    tell({ kind: 'open', url: studio.url, link: studio.link });
    await new Promise((resolve) => parentPort!.once('message', resolve));
    await studio.close();
  } finally {
    await database.close();
  }
} catch (error) {
  tell({ kind: 'failed', message: messageOf(error), hint: error instanceof HeedError ? error.hint : undefined });
} finally {
  parentPort!.close();
}
