/**
 * Ctrl-C: once to stop after the current iteration, with a checkpoint; twice to stop at once. The second one has the
 * system's own effect: JavaScript would hear of it only between calls, and Node's `process.exit` waits for native ones.
 */

interface Interruption {
  signal: AbortSignal;
  /** The exit code for the signal: 130 for Ctrl-C, 143 for SIGTERM. */
  readonly exitCode: number;
  dispose(): void;
}

export function listenForInterrupt(
  onNotice: (text: string) => void,
  notice = 'Stopping after this iteration, with a checkpoint. Ctrl-C again stops at once.',
): Interruption {
  const controller = new AbortController();
  let exitCode = 130;
  const stop = (code: number) => () => {
    exitCode = code;
    dispose();
    onNotice(notice);
    controller.abort();
  };
  const handlers = [
    ['SIGINT', stop(130)],
    ['SIGTERM', stop(143)],
  ] as const;
  const dispose = () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    dispose,
  };
}
