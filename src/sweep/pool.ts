/**
 * Trains cells in processes of their own, several at a time. Each has its own engine and environments. If one dies,
 * only the steps since its cell's last checkpoint are lost.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { extname, join } from 'node:path';
import type { Cell, CellResult } from './cell.ts';

/** A message to a worker process: a cell to train. */
export interface CellOrder {
  cell: Cell;
  folder: string;
  checkpointSeconds?: number;
}
/** A message from a worker process. */
export type CellMessage =
  | { kind: 'ready' }
  | { kind: 'step'; step: number }
  | { kind: 'finished'; result: CellResult }
  | { kind: 'failed'; message: string; hint?: string };

/** A cell that could not be trained. */
export interface CellFailure {
  cell: Cell;
  message: string;
  hint?: string;
}

/** What `runCells` takes besides the cells. */
export interface RunCellsParts {
  /** Each cell trains in a folder below this one. */
  folder: string;
  /** Cells at a time. */
  jobs: number;
  /** Seconds between checkpoints of a cell. */
  checkpointSeconds?: number;
  signal?: AbortSignal | undefined;
  /** Called with the environment steps of all running cells together. */
  onProgress?: (steps: number) => void;
}
/** Trains cells, in processes of this machine or elsewhere, and yields each outcome. */
export type RunCells = (
  cells: readonly Cell[],
  parts: RunCellsParts,
) => AsyncGenerator<CellResult | CellFailure, void, undefined>;

/** A cell fails after this many of its processes have died. */
const MOST_DEATHS = 2;

/**
 * Trains cells, `jobs` at a time, each in a folder below `folder`, and yields each outcome. If the signal aborts, it
 * stops with checkpoints.
 */
export async function* runCells(
  cells: readonly Cell[],
  parts: RunCellsParts,
): AsyncGenerator<CellResult | CellFailure, void, undefined> {
  const { folder, jobs, checkpointSeconds, signal, onProgress } = parts;
  const queue = [...cells];
  const ended: (CellResult | CellFailure)[] = [];
  const under = new Map<ChildProcess, { cell: Cell; step: number }>();
  const deaths = new Map<Cell, number>();
  let wake = () => {};
  const children = new Set<ChildProcess>();

  const next = (child: ChildProcess) => {
    const cell = queue.shift();
    if (!cell || signal?.aborted) return void (child.connected && child.disconnect());
    under.set(child, { cell, step: 0 });
    // a dead process is reported by its exit
    child.send({ cell, folder: cellFolder(folder, cell), checkpointSeconds } satisfies CellOrder, () => {});
  };
  const end = (child: ChildProcess, what: CellResult | CellFailure) => {
    under.delete(child);
    ended.push(what);
    wake();
  };
  const startOne = () => {
    const child = fork(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), {
      env: { ...process.env, HEED_THREADS: process.env.HEED_THREADS ?? String(threadsEach(jobs)) },
    });
    children.add(child);
    child.on('message', (message: CellMessage) => {
      const work = under.get(child);
      if (message.kind === 'step') {
        if (work) work.step = message.step;
        onProgress?.([...under.values()].reduce((sum, { step }) => sum + step, 0));
        return;
      }
      if (work && message.kind === 'finished') end(child, message.result);
      if (work && message.kind === 'failed') end(child, { ...message, cell: work.cell });
      next(child);
    });
    child.once('error', () => {}); // 'exit' reports it
    child.once('exit', (code, killed) => {
      children.delete(child);
      const work = under.get(child);
      if (work && !signal?.aborted) {
        const died = (deaths.get(work.cell) ?? 0) + 1;
        deaths.set(work.cell, died);
        if (died < MOST_DEATHS) {
          under.delete(child);
          queue.unshift(work.cell);
          startOne();
        } else end(child, { cell: work.cell, message: `its process ended with ${killed ?? `code ${code}`} twice` });
      }
      wake();
    });
  };
  const hangUp = () => {
    for (const child of children) if (child.connected) child.disconnect();
  };

  signal?.addEventListener('abort', hangUp);
  try {
    for (let i = 0; i < Math.min(jobs, cells.length); i++) startOne();
    for (let yielded = 0; yielded < cells.length; yielded++) {
      while (ended.length === 0 && children.size > 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const one = ended.shift();
      if (!one) return; // stopped
      yield one;
    }
  } finally {
    signal?.removeEventListener('abort', hangUp);
    hangUp();
    await Promise.all([...children].map((child) => once(child, 'exit')));
  }
}

/** The folder of a cell. */
export const cellFolder = (folder: string, { key }: Cell): string => join(folder, key.replaceAll(/[^\w.=-]+/g, '-'));

const threadsEach = (jobs: number) => Math.max(1, Math.floor(availableParallelism() / jobs));
