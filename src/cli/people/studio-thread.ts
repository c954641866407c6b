/** A studio on a thread of its own, so that people never wait for training. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { HeedError, messageOf } from '../../error.ts';
import type { Studio, StudioOptions } from '../../feedback/server/studio-server.ts';

/** The studio options that can be sent to a thread, and the path of its store. */
export type ThreadedStudio = Pick<StudioOptions, 'runs' | 'port' | 'owner'> & { store: string };

/** Messages of the thread. */
export type StudioMessage =
  | { kind: 'open'; url: string; link: string }
  | { kind: 'failed'; message: string; hint?: string }
  | { kind: 'said'; text: string };

/**
 * Starts a studio thread. It opens the store a second time. @throws HeedError if the store cannot be opened, or the
 * address is in use.
 */
export function startStudioThread(options: ThreadedStudio, say: (text: string) => void): Promise<Studio> {
  const worker = new Worker(new URL(`./studio-worker${extname(import.meta.url)}`, import.meta.url), {
    workerData: options,
  });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  return new Promise((resolve, reject) => {
    worker.once('error', (error) => {
      reject(error);
      say(`The studio has failed: ${messageOf(error)}`);
    });
    worker.on('message', (message: StudioMessage) => {
      if (message.kind === 'said') say(message.text);
      if (message.kind === 'failed') reject(new HeedError(message.message, { hint: message.hint }));
      if (message.kind === 'open') {
        const { url, link } = message;
        const close = () => {
          worker.postMessage('close');
          return ended;
        };
        resolve({ url, link, close });
      }
    });
  });
}
