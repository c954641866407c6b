/** Trains a version in a process of its own, so that serving goes on and survives whatever happens there. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type CarriedError, HeedError, revived } from '../../error.ts';
import type { GateMeasures } from './gate.ts';
import { trainVersion, type VersionJob } from './train-version.ts';

/** What the process is sent. */
export type ToVersionChild = VersionJob | 'stop';
/** What it sends. */
export type FromVersionChild = { measures: GateMeasures } | { error: CarriedError };

/**
 * Trains and measures a version.
 *
 * @throws the signal's reason if that aborts, and HeedError if the training fails or its process is killed.
 */
export async function trainInProcess(job: VersionJob, signal: AbortSignal): Promise<GateMeasures> {
  // no process of Node 20 reads TypeScript
  if (import.meta.url.endsWith('.ts')) return trainVersion(job, signal);
  signal.throwIfAborted();
  const child = fork(fileURLToPath(new URL('./version-child.js', import.meta.url)), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced', // measures may be NaN
  });
  const stop = () => void (child.connected && child.send('stop' satisfies ToVersionChild));
  signal.addEventListener('abort', stop);
  let answer: FromVersionChild | undefined;
  child.on('message', (message: FromVersionChild) => {
    answer = message;
  });
  try {
    child.send(job satisfies ToVersionChild);
    const [code, killedBy] = await once(child, 'close');
    signal.throwIfAborted();
    if (!answer) {
      throw new HeedError(`The training in "${job.folder}" ended with ${killedBy ?? code}.`, {
        hint: 'Was there enough memory? heed plan estimates what training needs.',
      });
    }
    if ('error' in answer) throw revived(answer.error);
    return answer.measures;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
