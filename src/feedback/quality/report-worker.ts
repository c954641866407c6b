/** The thread that makes a report. */
import { parentPort, workerData } from 'node:worker_threads';
import { openDatabase } from '../store/database.ts';
import { reportOf } from './report.ts';

const { address, project } = workerData as { address: string; project: string };
const database = await openDatabase(address);
try {
  parentPort!.postMessage(await reportOf(database, project));
} finally {
  await database.close();
}
