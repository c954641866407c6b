/** The side of ordered-thread.ts that carries out orders. */
import { parentPort, workerData } from 'node:worker_threads';
import { carried } from '../error.ts';
import { DONE, FAILED, LEFT, NUMBERS, ORDERED, type ThreadData } from './ordered-thread.ts';
import { changed, watchedControl } from './wait.ts';

/** Carries out an order, given its numbers. */
export type CarryOut = (...numbers: [first: number, second: number]) => void;

/**
 * Carries out orders until the thread is terminated. Never returns, unless `prepare` fails: the owner gets the error.
 *
 * @param carriedOf - What the owner gets of an error.
 */
export async function obey(prepare: () => Promise<CarryOut>, carriedOf: (error: unknown) => object): Promise<void> {
  const { control, port, polling } = workerData as ThreadData;
  process.on('exit', () => {
    control[LEFT] = 1;
    Atomics.add(control, DONE, 1);
    Atomics.notify(control, DONE);
  });
  let carryOut: CarryOut;
  try {
    carryOut = await prepare();
  } catch (error) {
    parentPort!.postMessage(carried(error));
    return;
  }
  parentPort!.postMessage(undefined);
  const orders = watchedControl(control, ORDERED, polling);
  for (let done = 0; ; done = (done + 1) | 0) {
    changed(orders, done);
    control[FAILED] = 0;
    try {
      carryOut(control[NUMBERS], control[NUMBERS + 1]);
    } catch (error) {
      port.postMessage(carriedOf(error));
      control[FAILED] = 1;
    }
    Atomics.add(control, DONE, 1);
    Atomics.notify(control, DONE);
  }
}
