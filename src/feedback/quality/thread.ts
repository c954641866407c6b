/** Long computations on a thread with a connection of its own, so that the server continues meanwhile. */
import { Worker } from 'node:worker_threads';
import type { Database } from '../store/database.ts';

/** What a thread can do for the project with an id. */
export type Work = 'report' | 'estimates' | 'progress' | 'consensus';

/** What the thread is told. */
export interface WorkerInput {
  address: string;
  work: Work;
  project: string;
}

/** What the thread says once it has loaded what it needs. */
export const STARTED = 'started';

/**
 * Does the work on a thread and resolves to its result; undefined if the store can only be read in this thread. `onStart`
 * is called when the work begins: to start a thread takes a second on a slow machine.
 */
export function inThread<T>(
  { address }: Database,
  work: Work,
  project: string,
  onStart: () => void = () => {},
): Promise<T> | undefined {
  // a store in memory has no second connection, and no thread of Node 20 reads TypeScript
  if (address === ':memory:' || import.meta.url.endsWith('.ts')) return undefined;
  return new Promise((resolve, reject) => {
    const workerData: WorkerInput = { address, work, project };
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
    worker.unref();
    worker.on('message', (message) => (message === STARTED ? onStart() : resolve(message)));
    worker.once('error', reject);
    // has no effect if the result has come before
    worker.once('exit', (code) => reject(new Error(`internal: the thread for the ${work} ended with ${code}`)));
  });
}
