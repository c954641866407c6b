/**
 * Threads that carry out orders, one after another, while the thread that gives them works too. Orders are counters in
 * shared memory, waited for with Atomics; what an order needs besides a few numbers goes through a port before it.
 */
import type { MessagePort, Worker } from 'node:worker_threads';
import { type CarriedError, type HeedError, messageOf, revived } from '../error.ts';
import { NodeMessageChannel, NodeWorker } from '../node.ts';
import { changed, type Watched, watchedControl } from './wait.ts';

/** Places in the memory that a thread and its owner share; the numbers of the order follow. */
export const ORDERED = 0; // how many orders were sent
export const DONE = 1; // how many were completed
export const FAILED = 2; // whether the last one threw; then the error is in the port
export const LEFT = 3; // whether the thread has terminated itself
export const NUMBERS = 4;
const MOST_NUMBERS = 2;

/** What the thread's `obey` is started with, beside what the owner gives. */
export interface ThreadData {
  control: Int32Array;
  port: MessagePort;
  /** How long to poll for an order before sleeping, ms; a fifth by default. */
  polling?: number;
}

/** A thread that carries out orders. */
export interface OrderedThread extends Omit<ThreadData, 'polling'> {
  worker: Worker;
  /** How many orders it has completed. */
  done: Watched;
  /** Why it has ended, if it has. */
  dead?: string;
}

/** Interval between checks of whether a silent thread lives: one that ran out of memory cannot report it. */
const SILENCE = 1000; // ms

/** How a thread is started. */
export interface ThreadStart {
  /** Its file, which calls `obey`. */
  file: URL;
  /** Its `workerData`, beside `ThreadData`. */
  data: object;
  /** How long the thread polls for an order, and its owner for the end of one, before sleeping, ms; a fifth by default. */
  polling?: number;
  /** Its environment variables; the process's by default. */
  env?: Readonly<Record<string, string | undefined>>;
  /** The error of a thread that has ended. */
  ended(thread: Pick<OrderedThread, 'dead'>): HeedError;
}

/** Starts a thread. Rejects if it cannot prepare for orders, or ends. */
export function startThread({ file, data, polling, env, ended }: ThreadStart): Promise<OrderedThread> {
  const control = new Int32Array(new SharedArrayBuffer((NUMBERS + MOST_NUMBERS) * Int32Array.BYTES_PER_ELEMENT));
  const { port1: port, port2: theirs } = new NodeMessageChannel();
  const workerData = { ...data, control, port: theirs, polling } satisfies ThreadData;
  const worker = new NodeWorker(file, { workerData, transferList: [theirs], ...(env && { env }) });
  const thread: OrderedThread = { worker, control, port, done: watchedControl(control, DONE, polling) };
  return new Promise((resolve, reject) => {
    worker.once('message', (failure: CarriedError | undefined) => {
      if (failure) return reject(revived(failure));
      isOver(worker); // only threads that were checked while they lived are known
      worker.unref(); // a program that forgets to dispose of its threads still ends
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

/** Gives an order of some numbers. The one before must have been waited for. */
export function order({ control }: OrderedThread, ...numbers: readonly number[]): void {
  control.set(numbers, NUMBERS);
  Atomics.add(control, ORDERED, 1);
  Atomics.notify(control, ORDERED);
}

/** Waits until a thread has completed its order, or is dead. */
export function waitFor(thread: OrderedThread): void {
  const { control, done, worker } = thread;
  const before = (control[ORDERED] - 1) | 0;
  while (thread.dead === undefined && !changed(done, before, SILENCE)) {
    if (isOver(worker)) thread.dead = 'it ran out of memory';
  }
  if (control[LEFT]) thread.dead ??= 'it called process.exit';
}

/** Its event arrives only when this thread is not waiting. The idle time of an event loop that has ended is −1. */
const isOver = (worker: Worker): boolean => worker.performance.eventLoopUtilization().idle < 0;
