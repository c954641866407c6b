/**
 * A watchdog for user code that may never return. Node handles signals only between calls, so Ctrl-C would be ignored.
 * A thread watches the length of each call: after some seconds it restores the default effect of SIGINT and SIGTERM,
 * which ends the process, and after a minute it prints what is going on. Checkpoints are safe: a killed run can be
 * resumed.
 */
import { broughtFile, extname, NodeWorker } from '../../node.ts';
import type { EnvironmentBatch } from '../batch/batch.ts';
import type { EnvironmentSource } from '../batch/source.ts';
import type { Environment } from '../environment.ts';

/** Places in the memory that the watchdog shares with the watched thread. */
export const CALL = 0; // the current call, as its number in `calls`, from 1; 0 if none
export const COUNT = 1; // number of calls: two long ones are not one
export const FREED = 2; // whether signals have their default effect
const PLACES = 3;

/** Watched calls, by their names in a notice. */
export const calls = ['being loaded', 'reset', 'step', 'replaying an episode', 'frame', 'being made'] as const;
type Call = (typeof calls)[number];

/** What the watchdog thread is started with. */
export interface WatchdogSettings {
  name: string;
  control: Int32Array;
}

/** Watches calls into code that may never return. */
export interface Watchdog {
  /** Marks the start of a call; the next `leave` ends it. */
  enter(call: Call): void;
  /** Marks the end of a call; waits until Node handles signals again. */
  leave(): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** Starts a watchdog for the environments with that name. */
export function startWatchdog(name: string): Watchdog {
  const control = new Int32Array(new SharedArrayBuffer(PLACES * Int32Array.BYTES_PER_ELEMENT));
  const workerData: WatchdogSettings = { name, control };
  const worker = new NodeWorker(broughtFile(`./watchdog-worker${extname(import.meta.url)}`, import.meta.url), {
    workerData,
  });
  worker.once('error', () => {}); // the environments work without a watchdog
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
