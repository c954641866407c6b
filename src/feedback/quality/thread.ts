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

/** Does the work on a thread and resolves to its result; undefined if the store can only be read in this thread. */
export function inThread<T>({ address }: Database, work: Work, project: string): Promise<T> | undefined {
  // a store in memory has no second connection, and no thread of Node 20 reads TypeScript
  if (address === ':memory:' || import.meta.url.endsWith('.ts')) return undefined;
  return new Promise((resolve, reject) => {
    const workerData: WorkerInput = { address, work, project };
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
    worker.unref();
    worker.once('message', resolve);
    worker.once('error', reject);
    // has no effect if the result has come before
    worker.once('exit', (code) => reject(new Error(`internal: the thread for the ${work} ended with ${code}`)));
  });
}
