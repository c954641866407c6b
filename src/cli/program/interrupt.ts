/** Ctrl-C: once to stop after the current iteration, with a checkpoint; twice to stop at once. */

interface Interruption {
  signal: AbortSignal;
  /** The exit code for the signal: 130 for Ctrl-C, 143 for SIGTERM. */
  readonly exitCode: number;
  dispose(): void;
}

export function listenForInterrupt(
  onNotice: (text: string) => void,
  notice = 'Stopping after this iteration, with a checkpoint. Again to stop at once.',
): Interruption {
  const controller = new AbortController();
  let exitCode = 130;
  const stop = (code: number) => () => {
    exitCode = code;
    if (controller.signal.aborted) process.exit(code);
    controller.abort();
    onNotice(notice);
  };
  const handlers = [
    ['SIGINT', stop(130)],
    ['SIGTERM', stop(143)],
  ] as const;
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    dispose() {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    },
  };
}
