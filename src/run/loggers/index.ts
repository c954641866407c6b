/** Runs told of elsewhere while they are written: TensorBoard, MLflow, a webhook. What fails there warns once and stops no training. */
import { join } from 'node:path';
import { HeedError } from '../../error.ts';
import type { Run } from '../run.ts';
import type { Ending } from './logger.ts';
import { createMlflow } from './mlflow.ts';
import { createTensorBoard } from './tensorboard.ts';
import { createWebhook } from './webhook.ts';

export type { Ending, RunLogger } from './logger.ts';

export interface LoggerChoice {
  kind: 'tensorboard' | 'mlflow' | 'webhook';
  /** An address; of TensorBoard a folder, `tensorboard` in the run's unless told. */
  to?: string;
}

/** Reads `tensorboard,mlflow:URL,webhook:URL`. @throws HeedError naming what is wrong. */
export function readLoggers(text: string): LoggerChoice[] {
  return text.split(',').map((part) => {
    const [, kind, to] = /^(\w+)(?::(.+))?$/.exec(part.trim()) ?? [];
    if (kind === 'tensorboard') return { kind, to };
    if ((kind === 'mlflow' || kind === 'webhook') && isAddress(to)) return { kind, to };
    throw new HeedError(`expected tensorboard, mlflow:URL or webhook:URL, with commas between, got "${part.trim()}"`);
  });
}

/** Tells of a run from here on. */
export function tellOf(
  run: Run,
  choices: readonly LoggerChoice[],
  onWarning: (text: string) => void,
): { close(ending: Ending): Promise<void> } {
  const loggers = choices.map(({ kind, to }) => {
    if (kind === 'tensorboard') return createTensorBoard(to ?? join(run.folder, 'tensorboard'), onWarning);
    return (kind === 'mlflow' ? createMlflow : createWebhook)(to!, run, onWarning);
  });
  for (const logger of loggers) run.observe(logger);
  return {
    close: async (ending) => {
      await Promise.all(loggers.map((logger) => logger.close(ending)));
    },
  };
}

const isAddress = (text: string | undefined): boolean => URL.canParse(text ?? '') && /^https?:/.test(text!);
