/** The thread of studio-thread.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { HeedError, messageOf } from '../../error.ts';
import { createRoom } from '../../feedback/room.ts';
import { startStudio } from '../../feedback/server/studio-server.ts';
import { openDatabase } from '../../feedback/store/database.ts';
import { type RefusalEntry, refusalText } from '../../http/refusals.ts';
import type { StudioMessage, StudioOrder, ThreadedStudio } from './studio-thread.ts';

const send = (message: StudioMessage) => parentPort!.postMessage(message);
const { store, room: ofRoom, ...options } = workerData as ThreadedStudio;
const room =
  ofRoom &&
  createRoom({
    ...ofRoom,
    onRequest: (request) => send({ kind: 'request', request }),
    onReaders: (readers) => send({ kind: 'readers', readers }),
  });

try {
  const database = await openDatabase(store);
  try {
    const say = (text: string) => send({ kind: 'said', text });
    if (database.warning !== undefined) say(database.warning);
    const onRefusal = (entry: RefusalEntry) => say(refusalText(entry));
    const studio = await startStudio({ ...options, room, database, onError: say, onRefusal });
    send({ kind: 'open', url: studio.url, link: studio.link });
    await new Promise<void>((resolve) =>
      parentPort!.on('message', (order: StudioOrder) => {
        if (order.kind === 'close') resolve();
        if (order.kind === 'update') room?.update(order.changes);
        if (order.kind === 'show') room?.show(order.play);
      }),
    );
    await studio.close();
  } finally {
    await database.close();
  }
} catch (error) {
  send({ kind: 'failed', message: messageOf(error), hint: error instanceof HeedError ? error.hint : undefined });
} finally {
  parentPort!.close();
}
