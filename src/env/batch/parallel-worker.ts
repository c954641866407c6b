/** A thread of parallel.ts: executes orders one after another until it is terminated. */

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { carried } from '../../error.ts';
import { loadPlugins } from '../../plugins.ts';
import type { Environment } from '../environment.ts';
import { loadEnvironment } from '../open/load.ts';
import { createBatch, type EnvironmentBatch } from './batch.ts';
import { carriedFault } from './fault.ts';
import {
  BATCH,
  DONE,
  FAILED,
  LEFT,
  OPERATION,
  ORDERED,
  type SharedArrays,
  type ThreadOrder,
  threadOperations,
  type WorkerSettings,
} from './parallel.ts';
import { changed, watched } from './wait.ts';

const { name, control, port } = workerData as WorkerSettings;
const batches = new Map<number, { environments: EnvironmentBatch; arrays: SharedArrays }>();

process.on('exit', () => {
  control[LEFT] = 1;
  Atomics.add(control, DONE, 1);
  Atomics.notify(control, DONE);
});

function carryOut(make: () => Environment): void {
  const operation = control[OPERATION];
  if (operation !== threadOperations.message) {
    const { environments, arrays } = batches.get(control[BATCH])!;
    if (operation === threadOperations.step) environments.step(arrays.actions, arrays.seeds);
    else environments.reset(arrays.seeds);
    return;
  }
  const order = receiveMessageOnPort(port)!.message as ThreadOrder;
  if (order.kind === 'create') {
    const { batch, count, arrays } = order;
    batches.set(batch, { environments: createBatch(make, count, arrays), arrays });
    return;
  }
  const { environments } = batches.get(order.batch)!;
  if (order.kind === 'replay') {
    environments.replay(order.copy, order.seed, order.actions);
    return;
  }
  environments[Symbol.dispose]();
  batches.delete(order.batch);
}

async function main(): Promise<void> {
  let make: () => Environment;
  try {
    await loadPlugins();
    make = await loadEnvironment(name);
  } catch (error) {
    parentPort!.postMessage(carried(error));
    return;
  }
  parentPort!.postMessage(undefined);
  const orders = watched(control, ORDERED);
  for (let done = 0; ; done = (done + 1) | 0) {
    changed(orders, done);
    control[FAILED] = 0;
    try {
      carryOut(make);
    } catch (error) {
      port.postMessage(carriedFault(error));
      control[FAILED] = 1;
    }
    Atomics.add(control, DONE, 1);
    Atomics.notify(control, DONE);
  }
}

await main();
