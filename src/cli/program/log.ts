/** What servers and trainings tell who runs them, on stderr: text, or with `--log-format json` one object a line. */
import { Option } from 'commander';
import { type RefusalEntry, refusalText } from '../../http/refusals.ts';
import type { RequestEntry } from '../../http/requests.ts';
import { type LogFields, type LogFormat, type LogLevel, logFormats, logLine } from '../../monitoring/log.ts';
import { createProgress, type Progress, type ProgressOptions } from '../../run/progress.ts';

/** Milliseconds between entries of a training's progress. */
const EVERY = 10_000;

let format: LogFormat = 'text';

export const logFormatOption = () =>
  new Option('--log-format <format>', 'how messages are written to stderr; json: one object a line')
    .choices([...logFormats])
    .default('text');

/** Sets the format of this process's messages. */
export function setLogFormat(chosen: LogFormat = 'text'): void {
  format = chosen;
}

/** Whether messages are for programs: they say nothing that only a person at a terminal may read. */
export const isLogJson = (): boolean => format === 'json';

/** Writes a message. */
export const writeLog = (level: LogLevel, message: string, fields: LogFields = {}): void =>
  void process.stderr.write(`${logLine(format, level, message, fields)}\n`);

/** Writes a message that is information. */
export const logNote = (text: string): void => writeLog('info', text);

/** Writes a request to a server. */
export const logRequest = (entry: RequestEntry): void =>
  writeLog(entry.status >= 500 ? 'error' : 'info', 'request', { ...entry });

/** Writes a request that a server has refused. */
export const logRefusal = (entry: RefusalEntry): void =>
  isLogJson() ? writeLog('warn', 'refused', { ...entry }) : writeLog('warn', refusalText(entry));

/** Progress that can also warn. */
export interface LoggedProgress extends Progress {
  /** Prints a line about something to look at. */
  warn(text: string): void;
}

/** Shows progress as `createProgress` does, or logs it. */
export function createLoggedProgress(options: ProgressOptions = {}): LoggedProgress {
  if (!isLogJson()) {
    const progress = createProgress(options);
    return { ...progress, warn: progress.note };
  }
  let last = Number.NEGATIVE_INFINITY;
  let [logged, step, metrics]: [number | undefined, number, Readonly<Record<string, number>>] = [undefined, 0, {}];
  const write = () => {
    last = performance.now();
    logged = step;
    writeLog('info', 'progress', { step, total: options.total, metrics });
  };
  return {
    update(to, latest) {
      step = to;
      if (latest) metrics = latest;
      if (performance.now() - last >= EVERY) write();
    },
    note: logNote,
    warn: (text) => writeLog('warn', text),
    done() {
      if (logged !== step) write();
    },
  };
}
