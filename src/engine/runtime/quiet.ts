/** Keeps a native library from printing: heed says in its own words what it found. */
import { closeSync, openSync } from '../../node.ts';
import { koffi } from '../library.ts';

const STDERR = 2;

/** Calls what may make a native library print to stderr, and drops that. On Windows nothing was seen to print. */
export function quietly<T>(call: () => T): T {
  if (process.platform === 'win32') return call();
  const c = koffi().load(null);
  const dup: (from: number) => number = c.func('int dup(int from)');
  const dup2: (from: number, to: number) => number = c.func('int dup2(int from, int to)');
  const kept = dup(STDERR);
  if (kept < 0) return call(); // the process has no stderr
  const nowhere = openSync('/dev/null', 'w');
  dup2(nowhere, STDERR);
  closeSync(nowhere);
  try {
    return call();
  } finally {
    dup2(kept, STDERR);
    closeSync(kept);
  }
}
