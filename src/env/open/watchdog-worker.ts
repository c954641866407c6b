/** The thread of watchdog.ts. */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { CALL, COUNT, calls, FREED, type WatchdogSettings } from './watchdog.ts';

const { name, control } = workerData as WatchdogSettings;
/** Seconds of a call after which Ctrl-C ends the process at once, and after which a notice is printed. */
const PATIENCE = 5;
const NOTICE = 60;
/** Milliseconds between checks. */
const EVERY = 250;
const SIGNALS = [2, 15]; // SIGINT and SIGTERM, everywhere but on Windows

/** Restores the default effect of signals. Returns a function that puts Node's handlers back. */
function freeSignals(signal: (number: number, handler: unknown) => unknown): () => void {
  const handlers = SIGNALS.map((number) => signal(number, null)); // SIG_DFL is 0
  return () => {
    for (const [i, number] of SIGNALS.entries()) signal(number, handlers[i]);
  };
}

function watch(): void {
  const signal =
    process.platform === 'win32' ? undefined : koffi.load(null).func('void *signal(int number, void *handler)');
  const sleep = new Int32Array(new SharedArrayBuffer(4));
  let [count, since, noticed] = [-1, 0, false];
  let restore: (() => void) | undefined;
  for (;;) {
    Atomics.wait(sleep, 0, 0, restore ? 20 : EVERY);
    const call = Atomics.load(control, CALL);
    const time = performance.now();
    if (call === 0 || Atomics.load(control, COUNT) !== count) {
      restore?.();
      restore = undefined;
      Atomics.store(control, FREED, 0);
      Atomics.notify(control, FREED);
      [count, since, noticed] = [Atomics.load(control, COUNT), time, false];
      continue;
    }
    const seconds = (time - since) / 1000;
    if (seconds >= PATIENCE && !restore && signal) {
      Atomics.store(control, FREED, 1);
      restore = freeSignals(signal);
    }
    if (seconds < NOTICE || noticed) continue;
    noticed = true;
    const doing = calls[call - 1];
    const what = doing.startsWith('being') || doing.startsWith('replaying') ? doing : `in ${doing}`;
    writeSync(
      2,
      `\nThe environment "${name}" has been ${what} for ${NOTICE} seconds. Ctrl-C ends heed now; checkpoints stay.\n`,
    );
  }
}

watch();
