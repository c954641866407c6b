/**
 * A watchdog over code of the user's own, which may never come back. Node hears signals between calls only, so that
 * Ctrl-C would be ignored for ever. A thread watches how long a call lasts: after some seconds it gives SIGINT and
 * SIGTERM back their usual effect, which is to end the process, and after a minute it says what is going on.
 * Checkpoints bear that: they are written so that a killed run goes on.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { EnvironmentBatch } from '../batch/batch.ts';
import type { EnvironmentSource } from '../batch/source.ts';
import type { Environment } from '../environment.ts';

/** Places in the memory that the watchdog shares with the thread it watches. */
export const CALL = 0; // which call is under way, as its number in `calls`, from 1; 0 where none is
export const COUNT = 1; // calls so far: two long ones are not one
export const FREED = 2; // whether signals have their usual effect
const PLACES = 3;

/** Calls that are watched, by their names in a notice. */
export const calls = ['being loaded', 'reset', 'step', 'replaying an episode', 'frame', 'being made'] as const;
type Call = (typeof calls)[number];

/** What the watching thread is started with. */
export interface WatchdogSettings {
  name: string;
  control: Int32Array;
}

/** Watches calls into code that may never return. */
export interface Watchdog {
  /** Says that a call begins; the next `leave` ends it. */
  enter(call: Call): void;
  /** Ends the call; waits until signals are heard as before. */
  leave(): void;
  [Symbol.dispose](): void;
}

/** Starts a watchdog over the environments of that name. */
export function startWatchdog(name: string): Watchdog {
  const control = new Int32Array(new SharedArrayBuffer(PLACES * Int32Array.BYTES_PER_ELEMENT));
  const workerData: WatchdogSettings = { name, control };
  const worker = new Worker(new URL(`./watchdog-worker${extname(import.meta.url)}`, import.meta.url), { workerData });
  worker.once('error', () => {}); // what it watches needs no watchdog to work
  worker.unref();
  return {
    enter(call) {
      Atomics.add(control, COUNT, 1);
      Atomics.store(control, CALL, calls.indexOf(call) + 1);
    },
    leave() {
      Atomics.store(control, CALL, 0);
      if (Atomics.load(control, FREED) === 1) Atomics.wait(control, FREED, 1, 5000);
    },
    [Symbol.dispose]: () => void worker.terminate(),
  };
}

/** The same environments, watched whenever their code runs on this thread or this thread waits for it. */
export function watchedSource(source: EnvironmentSource, watchdog: Watchdog): EnvironmentSource {
  const during = <T>(call: Call, run: () => T): T => {
    watchdog.enter(call);
    try {
      return run();
    } finally {
      watchdog.leave();
    }
  };
  const watchedBatch = (batch: EnvironmentBatch): EnvironmentBatch => ({
    ...batch,
    reset: (seeds) => during('reset', () => batch.reset(seeds)),
    step: (actions, next) => during('step', () => batch.step(actions, next)),
    replay: (copy, seed, actions) => during('replaying an episode', () => batch.replay(copy, seed, actions)),
  });
  const watchedEnvironment = (environment: Environment): Environment => ({
    ...environment,
    reset: (seed, observation) => during('reset', () => environment.reset(seed, observation)),
    step: (action, observation) => during('step', () => environment.step(action, observation)),
    frame: () => during('frame', () => environment.frame()),
  });
  return {
    ...source,
    make: () => watchedEnvironment(during('being made', () => source.make())),
    batch: (count) => watchedBatch(during('being made', () => source.batch(count))),
    [Symbol.dispose]() {
      source[Symbol.dispose]();
      watchdog[Symbol.dispose]();
    },
  };
}
