/** The one runtime of the process. */
import { HeedError } from '../../error.ts';
import { breathe } from '../../node.ts';
import { nativeLibrary, startRuntime } from './native.ts';
import type { Runtime } from './runtime.ts';

let current: Runtime | undefined;

/** The runtime. In Node the first use starts it. @throws HeedError if it cannot be started. */
export function runtime(): Runtime {
  if (!current && typeof process === 'undefined') {
    throw new HeedError('the engine has not started', { hint: 'await startEngine() of heed/browser first' });
  }
  current ??= startRuntime();
  return current;
}

/**
 * Gives the event loop a turn, and starts the runtime, if it has not started, part by part: each takes 10 to 25 ms.
 *
 * @throws HeedError as `runtime` does.
 */
export async function startFreely(): Promise<void> {
  await breathe();
  if (current || typeof process === 'undefined') return;
  nativeLibrary();
  await breathe();
  runtime();
  await breathe();
}

/** Makes programs run on this runtime. @throws HeedError once there is another. */
export function useRuntime(other: Runtime): void {
  if (current && current !== other) {
    throw new HeedError('the engine is already running', { hint: 'start the other runtime before anything else' });
  }
  current = other;
}

/** The execution providers of the runtime, such as "CPUExecutionProvider". */
export const executionProviders = (): string[] => runtime().providers();
