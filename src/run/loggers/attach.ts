/**
 * Loggers report a run elsewhere while it is written: TensorBoard, MLflow, a webhook, Prometheus. A failure there warns once and
 * never stops training.
 */
import { join } from 'node:path';
import { HeedError } from '../../error.ts';
import { createRegistry } from '../../registry.ts';
import type { Run, RunInfo } from '../run.ts';
import type { Ending, RunLogger } from './logger.ts';
import { createMlflow } from './mlflow.ts';
import { ask, createOutbox } from './outbox.ts';
import { createPrometheus, prometheusAddress } from './prometheus.ts';
import { createTensorBoard } from './tensorboard.ts';

function createWebhook(
  url: string,
  run: { folder: string; info: RunInfo },
  onWarning: (text: string) => void,
): RunLogger {
  const outbox = createOutbox<object>({
    name: `The webhook at ${new URL(url).host}`,
    send: async ([body]) => {
      await ask(url, { body });
    },
    most: 1,
    wait: 0,
    onWarning,
  });
  const { name, command } = run.info;
  const about = { run: run.folder, name, command };
  return {
    metrics() {},
    sample(sample) {
      // chats show `text`
      if (sample.kind === 'alert')
        outbox.add({ ...about, ...sample, text: `${name}, step ${sample.step}: ${sample.text}` });
    },
    async close(status) {
      outbox.add({ ...about, kind: 'end', status, text: `${name} has ${status}.` });
      await outbox.close();
    },
  };
}

/** A logger for a run, and where it reports to. */
export interface LoggerChoice {
  /** Name of a registered logger: tensorboard, mlflow, webhook, prometheus, or a plugin's. */
  kind: string;
  /** The part after the colon: an address; for Prometheus a port, `9464` or `0.0.0.0:9464`; for TensorBoard a folder, by default `tensorboard` in the run's. */
  to?: string;
}

/** Creates a logger for a run. */
export interface LoggerMaker {
  /** Checks the part after the colon before anything starts. Returns what is expected instead, if it is wrong. */
  check?(to: string | undefined): string | undefined;
  /** Starts logging. `onWarning` is called at most once, when logging fails; training continues. */
  create(to: string | undefined, run: Run, onWarning: (text: string) => void): RunLogger;
}

const needsAddress = (to: string | undefined): string | undefined =>
  URL.canParse(to ?? '') && /^https?:/.test(to!) ? undefined : 'URL';

/** Loggers by name: `--log NAME[:WHERE]`. */
export const loggers = createRegistry<LoggerMaker>('logger', {
  tensorboard: {
    create: (to, run, onWarning) => createTensorBoard(to ?? join(run.folder, 'tensorboard'), onWarning),
  },
  mlflow: { check: needsAddress, create: (to, run, onWarning) => createMlflow(to!, run, onWarning) },
  webhook: { check: needsAddress, create: (to, run, onWarning) => createWebhook(to!, run, onWarning) },
  prometheus: {
    check: (to) => (prometheusAddress(to) ? undefined : '[ADDRESS:]PORT'),
    create: (to, run, onWarning) => createPrometheus(to!, run, onWarning),
  },
});

/** Reads `tensorboard,mlflow:URL,webhook:URL`. @throws HeedError that names what is wrong. */
export function readLoggers(text: string): LoggerChoice[] {
  return text.split(',').map((part) => {
    const [, kind, to] = /^([^\s:]+)(?::(.+))?$/.exec(part.trim()) ?? [];
    const sound = kind !== undefined && loggers.has(kind) && loggers.get(kind).check?.(to) === undefined;
    if (sound) return { kind, to };
    throw new HeedError(`expected ${inWords()}, with commas between, got "${part.trim()}"`);
  });
}

const inWords = (): string =>
  loggers
    .names()
    .map((name) => [name, loggers.get(name).check?.(undefined)].filter(Boolean).join(':'))
    .join(', ');

/** Reports a run's rows to loggers from now on. */
export function attachLoggers(
  run: Run,
  choices: readonly LoggerChoice[],
  onWarning: (text: string) => void,
): { close(ending: Ending): Promise<void> } {
  const started = choices.map(({ kind, to }) => loggers.get(kind).create(to, run, onWarning));
  for (const logger of started) run.observe(logger);
  return {
    close: async (ending) => {
      await Promise.all(started.map((logger) => logger.close(ending)));
    },
  };
}
