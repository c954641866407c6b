/**
 * Lets the process end during a run whose nodes JavaScript computes. Such a run waits in a thread of Node's for JavaScript,
 * which no longer runs once the process ends; and Node waits for its threads: without this the process would hang.
 */
import { koffi } from '../library.ts';

let runs = 0;
/** An error that nothing catches: Node prints it only after `exit`. */
let uncaught: { error: unknown } | undefined;

/** Lets the process end from now on, until the result is called at the end of the run. */
export function allowExit(): () => void {
  if (runs++ === 0 && process.getBuiltinModule('node:worker_threads').isMainThread) {
    // last of all listeners, as none after it is called
    process.on('exit', leave);
    process.on('uncaughtExceptionMonitor', see);
  }
  return () => {
    if (--runs > 0) return;
    process.off('exit', leave);
    process.off('uncaughtExceptionMonitor', see);
  };
}

function see(error: unknown): void {
  if (process.listenerCount('uncaughtException') > 0) return; // the program decides what is printed
  uncaught = { error };
}

/** Ends the process without waiting for threads. */
function leave(code: number): void {
  if (uncaught) console.error(uncaught.error);
  if (process.stdin.isRaw) process.stdin.setRawMode(false); // a terminal would stay without echo
  const library = koffi().load(process.platform === 'win32' ? 'msvcrt.dll' : null);
  library.func('void _exit(int code)')(code);
}
