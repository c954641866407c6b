/**
 * Copies of an environment stepped by several threads: the one that asks steps the first share itself, then waits for
 * the others, so that a batch is as synchronous here as any other, with the same numbers. Orders are counters in shared
 * memory that are waited for with Atomics, and actions and outcomes lie in memory that both sides see.
 */

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { type CarriedError, HeedError, messageOf, revived } from '../../error.ts';
import { sizeOf } from '../environment.ts';
import { type BatchArrays, checkCount, createBatch, type EnvironmentBatch } from './batch.ts';
import { type CarriedFault, carriedFault, revivedFault } from './fault.ts';
import type { EnvironmentSource } from './source.ts';
import { changed, type Watched, watched } from './wait.ts';

/** Places in the memory that a thread and its owner share. */
export const ORDERED = 0; // how many orders were given
export const DONE = 1; // how many were carried out
export const FAILED = 2; // whether the last one threw; then the error is in the port
export const OPERATION = 3;
export const BATCH = 4; // which of the thread's batches the order is for
export const LEFT = 5; // whether the thread has ended itself
const PLACES = 6;

/** What a thread can be ordered to do, as numbers in shared memory. */
export const threadOperations = { message: 0, reset: 1, step: 2 } as const;

/** What the copies of one thread share with its owner, views of SharedArrayBuffers. */
export interface SharedArrays extends BatchArrays {
  /** [count, actionSize] */
  actions: Float32Array;
  /** [count]: seeds of a reset, or those of a step. */
  seeds: Float64Array;
}

/** Orders that come by the port. */
export type ThreadOrder =
  | { kind: 'create'; batch: number; count: number; arrays: SharedArrays }
  | { kind: 'replay'; batch: number; copy: number; seed: number; actions: Float32Array }
  | { kind: 'release'; batch: number };

/** What a thread is started with. */
export interface WorkerSettings {
  name: string;
  control: Int32Array;
  port: MessagePort;
}

interface Thread {
  worker: Worker;
  control: Int32Array;
  port: MessagePort;
  /** How many orders it has carried out. */
  done: Watched;
  /** Why it is no more, where it is. */
  dead?: string;
}

/** How often a thread that does not answer is asked whether it lives: one that ran out of memory cannot say so. */
const SILENCE = 1000; // ms

/** Threads that step copies of one environment. */
export interface ThreadPool {
  /** Copies split over this thread, where `here` makes them, and the others, in order. */
  batch(here: EnvironmentSource, count: number): EnvironmentBatch;
  [Symbol.dispose](): void;
}

/**
 * Starts so many threads beside this one, which each load the environments of that name. HeedError where they cannot.
 */
export async function startThreads(name: string, others: number): Promise<ThreadPool> {
  const starting = Array.from({ length: others }, () => startThread(name));
  const threads: Thread[] = [];
  const release = () => {
    for (const thread of threads) {
      thread.dead ??= 'it was released';
      void thread.worker.terminate();
    }
  };
  const settled = await Promise.allSettled(starting);
  for (const one of settled) if (one.status === 'fulfilled') threads.push(one.value);
  const failed = settled.find((one) => one.status === 'rejected');
  if (failed) {
    release();
    throw failed.reason;
  }
  let batches = 0;
  return { batch: (here, count) => createThreadBatch(threads, batches++, here, count), [Symbol.dispose]: release };
}

function startThread(name: string): Promise<Thread> {
  const control = new Int32Array(new SharedArrayBuffer(PLACES * Int32Array.BYTES_PER_ELEMENT));
  const { port1: port, port2: theirs } = new MessageChannel();
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const workerData: WorkerSettings = { name, control, port: theirs };
  const worker = new Worker(new URL(`./parallel-worker.${extension}`, import.meta.url), {
    workerData,
    transferList: [theirs],
  });
  const thread: Thread = { worker, control, port, done: watched(control, DONE) };
  return new Promise((resolve, reject) => {
    worker.once('message', (failure: CarriedError | undefined) => {
      if (failure) return reject(revived(failure));
      isOver(worker); // known of a thread only where it was once asked while it lived
      worker.unref(); // a program that forgets to release its environments ends all the same
      resolve(thread);
    });
    worker.once('error', (error) => {
      thread.dead = messageOf(error);
      reject(ended(thread));
    });
    worker.once('exit', (code) => {
      thread.dead ??= `exit code ${code}`;
      reject(ended(thread));
    });
  });
}

function createThreadBatch(
  all: readonly Thread[],
  batch: number,
  here: EnvironmentSource,
  count: number,
): EnvironmentBatch {
  checkCount(count);
  const { id, observationSpace, actionSpace, maxEpisodeSteps } = here;
  const size = sizeOf(observationSpace);
  const actionSize = sizeOf(actionSpace);
  const arrays = sharedArrays(count, size, actionSize);
  const { actions: sharedActions, seeds: sharedSeeds, ...memory } = arrays;

  // copies as evenly as they go; the first share is this thread's
  const threads = all.slice(0, count - 1);
  const starts = [0, ...threads].map((_, t) => Math.floor((t * count) / (threads.length + 1)));
  const ends = [...starts.slice(1), count];
  const parts = starts.map((start, t) => partOf(arrays, start, ends[t], size, actionSize));
  const together = (operation: number, ownShare: () => void) => {
    for (const thread of threads) order(thread, operation, batch);
    waitFor(threads, ownShare, starts);
  };
  const post = (thread: Thread, message: ThreadOrder) => {
    thread.port.postMessage(message);
    order(thread, threadOperations.message, batch);
  };

  for (const [t, thread] of threads.entries()) {
    const [start, end, part] = [starts[t + 1], ends[t + 1], parts[t + 1]];
    post(thread, { kind: 'create', batch, count: end - start, arrays: part });
  }
  const own = waitFor(threads, () => createBatch(here.make, ends[0], parts[0]));

  return {
    id,
    count,
    observationSpace,
    actionSpace,
    maxEpisodeSteps,
    ...memory,
    reset(seeds) {
      sharedSeeds.set(seeds);
      together(threadOperations.reset, () => own.reset(sharedSeeds));
    },
    step(actions, next) {
      sharedActions.set(actions);
      sharedSeeds.set(next);
      together(threadOperations.step, () => own.step(sharedActions, sharedSeeds));
    },
    replay(copy, seed, actions) {
      if (copy < ends[0]) return own.replay(copy, seed, actions);
      const t = ends.findIndex((end) => copy < end);
      const thread = threads[t - 1];
      post(thread, { kind: 'replay', batch, copy: copy - starts[t], seed, actions });
      waitFor([thread], nothing);
    },
    [Symbol.dispose]() {
      own[Symbol.dispose]();
      const living = threads.filter(({ dead }) => dead === undefined);
      for (const thread of living) post(thread, { kind: 'release', batch });
      try {
        waitFor(living, nothing);
      } catch {
        // a thread that has ended holds nothing, and one that failed was heard of when it did
      }
    },
  };
}

function sharedArrays(count: number, size: number, actionSize: number): SharedArrays {
  const shared = (bytes: number) => new SharedArrayBuffer(Math.max(1, bytes));
  return {
    observations: new Float32Array(shared(4 * count * size)),
    finalObservations: new Float32Array(shared(4 * count * size)),
    rewards: new Float64Array(shared(8 * count)),
    terminated: new Uint8Array(shared(count)),
    truncated: new Uint8Array(shared(count)),
    actions: new Float32Array(shared(4 * count * actionSize)),
    seeds: new Float64Array(shared(8 * count)),
  };
}

const partOf = (all: SharedArrays, from: number, to: number, size: number, actionSize: number): SharedArrays => ({
  observations: all.observations.subarray(from * size, to * size),
  finalObservations: all.finalObservations.subarray(from * size, to * size),
  rewards: all.rewards.subarray(from, to),
  terminated: all.terminated.subarray(from, to),
  truncated: all.truncated.subarray(from, to),
  actions: all.actions.subarray(from * actionSize, to * actionSize),
  seeds: all.seeds.subarray(from, to),
});

function order({ control }: Thread, operation: number, batch: number): void {
  control[OPERATION] = operation;
  control[BATCH] = batch;
  Atomics.add(control, ORDERED, 1);
  Atomics.notify(control, ORDERED);
}

/**
 * Does this thread's own share, waits until the others have done theirs too, whatever failed, and gives what the own
 * share gave. Throws the error of the first copies that failed. `starts`: the first copy of this thread and of each
 * other.
 */
function waitFor<T>(threads: readonly Thread[], ownShare: () => T, starts?: readonly number[]): T {
  let result: T | undefined;
  const failures: HeedError[] = [];
  try {
    result = ownShare();
  } catch (error) {
    failures.push(revivedFault(carriedFault(error)));
  }
  for (const [t, thread] of threads.entries()) {
    wait(thread);
    if (thread.dead !== undefined) failures.push(ended(thread));
    else if (thread.control[FAILED]) {
      failures.push(revivedFault(receiveMessageOnPort(thread.port)!.message as CarriedFault, starts?.[t + 1]));
    }
  }
  if (failures.length > 0) throw failures[0];
  return result as T;
}

/** Waits until a thread has carried out its order, or is dead. */
function wait(thread: Thread): void {
  const { control, done, worker } = thread;
  const before = (control[ORDERED] - 1) | 0;
  while (thread.dead === undefined && !changed(done, before, SILENCE)) {
    if (isOver(worker)) thread.dead = 'it ran out of memory';
  }
  if (control[LEFT]) thread.dead ??= 'it called process.exit';
}

/** Its event tells only when this thread waits no longer. The idle time of an event loop that is no more is −1. */
const isOver = (worker: Worker): boolean => worker.performance.eventLoopUtilization().idle < 0;

const nothing = () => {};

const ended = ({ dead }: Thread) =>
  new HeedError(`A thread that steps environments ended: ${dead}`, {
    hint: 'use --workers 0: then what is wrong is told where it happens',
  });
