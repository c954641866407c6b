/**
 * Trains the cells of sweeps and ablations in a run's folder: finished cells are in results.jsonl, unfinished ones in
 * cells/.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { HeedError } from '../error.ts';
import { driveRun, type TrainParts } from '../run/drive.ts';
import { openRows, readRows } from '../run/rows.ts';
import type { Cell, CellResult } from './cell.ts';
import { type CellFailure, type RunCells, runCells as runCellsHere } from './pool.ts';

const RESULTS = 'results.jsonl';

/** How far all cells together have got. */
export interface CellsStep {
  /** Environment steps of all cells, including finished ones. */
  step: number;
  /** Number of finished cells. */
  cells: number;
}

/** What `trainCells` takes: where to write the run, a signal, callbacks, and where its cells run. */
export interface CellsParts extends TrainParts<CellsStep> {
  /** Trains the cells. Default: in processes of this machine. */
  runCells?: RunCells;
}

/** The finished cells of a run, in the order they ended. */
export const readResults = (folder: string): CellResult[] =>
  [...readRows(join(folder, RESULTS))] as unknown as CellResult[];

/** Trains the unfinished `cells`, `jobs` at a time, in order. Undefined if the signal stopped it. */
export function trainCells<Result extends { run: string }>(
  cells: readonly Cell[],
  jobs: number,
  parts: CellsParts & { result(results: CellResult[], seconds: number): Result },
): Promise<Result | undefined> {
  const { run, signal, checkpointSeconds, onStep, onWarning = process.emitWarning, runCells = runCellsHere } = parts;
  const { folder } = run;
  const rows = openRows(join(folder, RESULTS));
  const planned = new Map(cells.map((cell) => [cell.key, cell]));
  const finished = new Set(readResults(folder).map(({ key }) => key));
  const waiting = cells.filter(({ key }) => !finished.has(key));
  let done = [...finished].reduce((sum, key) => sum + (planned.get(key)?.steps ?? 0), 0);
  const failures: CellFailure[] = [];
  const report = (underWay: number) => onStep?.({ step: done + underWay, cells: finished.size });
  const running = runCells(waiting, {
    folder: join(folder, 'cells'),
    jobs,
    checkpointSeconds,
    signal,
    onProgress: report,
  });

  async function next(): Promise<{ step: number; ended?: CellResult; done: boolean }> {
    if (finished.size === cells.length) return { step: finished.size, done: true };
    const { value: ended } = await running.next();
    if (ended && !('message' in ended)) {
      rows.append(JSON.stringify(ended));
      rows.sync();
      finished.add(ended.key);
      done += planned.get(ended.key)!.steps;
      report(0);
      return { step: finished.size, ended, done: finished.size === cells.length };
    }
    if (ended) {
      failures.push(ended);
      onWarning(`${ended.cell.key}: ${ended.message}`);
    }
    if (signal?.aborted) throw signal.reason;
    if (finished.size + failures.length === cells.length) throw failed(failures, folder);
    return next();
  }

  return driveRun(
    { next, save: () => ({ state: {}, tensors: {} }), restore() {} },
    {
      ...parts,
      checkpointSeconds: 0,
      onStep: undefined,
      before: () => ({}),
      record: ({ ended }) => ({ 'return/mean': ended?.return ?? Number.NaN }),
      result(_, seconds) {
        rmSync(join(folder, 'cells'), { recursive: true, force: true });
        return parts.result(readResults(folder), seconds);
      },
    },
  ).finally(async () => {
    await running.return();
    rows.close();
  });
}

function failed([{ cell, message, hint }, ...more]: readonly CellFailure[], folder: string): HeedError {
  const others = more.length > 0 ? `, and ${more.length} others failed` : '';
  return new HeedError(`"${cell.key}" failed: ${message}${others}. All other runs are finished.`, {
    hint: `${hint ? `${hint}\n` : ''}heed report ${folder} shows what is finished.`,
  });
}
