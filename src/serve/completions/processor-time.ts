/** How long a thread has computed. Node 20 cannot say, Linux can. */
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Where Linux keeps the times of the thread that calls this; undefined elsewhere. */
export function ownTimes(): string | undefined {
  try {
    return join('/proc', readlinkSync('/proc/thread-self'), 'schedstat');
  } catch {
    return undefined;
  }
}

/** Reads the seconds of the processor that a thread has had, from its `ownTimes`; undefined where nothing tells them. */
export function timeReader(place: string | undefined): (() => number) | undefined {
  const read = () => Number(readFileSync(place!, 'utf8').split(' ')[0]) / 1e9;
  try {
    return place === undefined || Number.isNaN(read()) ? undefined : read;
  } catch {
    return undefined;
  }
}
