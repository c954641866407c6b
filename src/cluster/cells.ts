/** Cells of sweeps and ablations as jobs of a cluster, each on the node that Ray finds for it. */
import { rmSync } from 'node:fs';
import type { CellResult } from '../sweep/cell.ts';
import { type CellFailure, cellFolder, type RunCells } from '../sweep/pool.ts';
import type { Ray } from './ray.ts';
import { endRun, followRun, isOnCluster, planRun, type RemoteOptions } from './remote.ts';

/**
 * Where the cells of a sweep run, for `trainSweep`. Jobs that were submitted by an earlier process are followed, not
 * submitted again.
 *
 * @param version heed's version.
 */
export const cellsOnRay = (
  ray: Ray,
  version: string,
  { onWarning, ...options }: RemoteOptions & { onWarning?: (text: string) => void } = {},
): RunCells =>
  async function* (cells, { folder, jobs, checkpointSeconds, signal, onProgress }) {
    const queue = [...cells];
    const steps = new Map<string, number>();
    const leaving = new AbortController();
    const stop = signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal;
    const cluster = { ...ray, signal: stop };

    async function train(): Promise<CellResult | CellFailure | undefined> {
      const cell = queue.shift();
      if (!cell || signal?.aborted) return undefined;
      const place = cellFolder(folder, cell);
      if (!isOnCluster(place)) planRun(ray, place, { version, cell, checkpointSeconds }, options);
      const onStep = (step: number) => {
        steps.set(cell.key, step);
        onProgress?.([...steps.values()].reduce((sum, one) => sum + one, 0));
      };
      const {
        code,
        result,
        error = `its job ended with code ${code}`,
      } = await followRun(cluster, place, {
        onStep,
        onWarning,
      });
      steps.delete(cell.key);
      if (code !== 0) {
        endRun(place);
        return { cell, message: error };
      }
      rmSync(place, { recursive: true });
      return result as CellResult;
    }

    const running = new Map<number, Promise<{ slot: number; ended: CellResult | CellFailure | undefined }>>();
    const begin = (slot: number) =>
      void running.set(
        slot,
        train().then((ended) => ({ slot, ended })),
      );
    try {
      for (let slot = 0; slot < Math.min(jobs, cells.length); slot++) begin(slot);
      while (running.size > 0) {
        const { slot, ended } = await Promise.race(running.values());
        running.delete(slot);
        if (!ended) continue;
        yield ended;
        begin(slot);
      }
    } catch (error) {
      if (!signal?.aborted) throw error;
    } finally {
      leaving.abort();
      await Promise.allSettled(running.values());
    }
  };
