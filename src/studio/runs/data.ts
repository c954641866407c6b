/** Runs as the server tells of them: metrics asked together, and told when rows come. */
import type { ListedRun } from '../../feedback/server/runs.ts';
import type { Spread } from '../../feedback/server/runs-spread.ts';
import type { RunInfo } from '../../run/index.ts';
import type { Buckets } from '../../run/series.ts';
import { api } from '../page/api.ts';

export type { Buckets, ListedRun, Spread };

export interface RunDetails {
  id: string;
  info: RunInfo;
  running: boolean;
  rows: number;
  metrics: string[];
  latest: Record<string, number>;
  samples: Record<string, number>;
  report: boolean;
  checkpoints: string[];
}

export interface Sample {
  kind: string;
  step?: number;
  [field: string]: unknown;
}

export interface Samples {
  total: number;
  samples: Sample[];
  /** The steps at which there are samples of the kind. */
  steps: number[];
}

export const runPath = (id: string): string => `/runs/${encodeURIComponent(id)}`;

export function samplesOf(id: string, what: Record<string, string | number | undefined>): Promise<Samples> {
  const given = Object.entries(what).filter(([, value]) => value !== undefined);
  return api(`${runPath(id)}/samples?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`);
}

interface Stretch {
  by: string;
  smooth: number;
  from?: number;
  to?: number;
}

interface Waiting {
  name: string;
  resolve(found: Buckets | undefined): void;
  reject(error: unknown): void;
}
const waiting = new Map<string, Waiting[]>();
/** Of one request: the server answers them one after another, and shows the first the sooner. */
const TOGETHER = 12;

/** A metric of a run. What is asked at the same moment goes in one request. */
export function metricOf(run: string, name: string, { by, smooth, from, to }: Stretch): Promise<Buckets | undefined> {
  const query = new URLSearchParams({ buckets: '600', by });
  if (smooth > 0) query.set('smooth', String(smooth));
  if (from !== undefined) query.set('from', String(from));
  if (to !== undefined) query.set('to', String(to));
  const address = `${runPath(run)}/metrics?${query}`;
  return new Promise((resolve, reject) => {
    const known = waiting.get(address);
    const own = { name, resolve, reject };
    if (known) {
      known.push(own);
      return;
    }
    waiting.set(address, [own]);
    setTimeout(() => {
      const all = waiting.get(address)!;
      waiting.delete(address);
      for (let i = 0; i < all.length; i += TOGETHER) void ask(address, all.slice(i, i + TOGETHER));
    }, 20);
  });
}

async function ask(address: string, some: readonly Waiting[]): Promise<void> {
  try {
    // names hold no commas: the server splits at them
    const names = encodeURIComponent([...new Set(some.map(({ name }) => name))].join(','));
    const found = await api<Record<string, Buckets | null>>(`${address}&names=${names}`);
    for (const { name, resolve } of some) resolve(found[name] ?? undefined);
  } catch (error) {
    for (const { reject } of some) reject(error);
  }
}

interface Rows {
  run: string;
  rows: number;
  running: boolean;
  latest: Record<string, number>;
}

/**
 * Tells of rows as they come, until the returned function is called; again after the server was away. A page that nobody sees
 * holds no connection: a browser has six for all its tabs.
 */
export function followRuns(ids: readonly string[], told: (rows: Rows) => void): () => void {
  const [first, ...others] = ids;
  const address = `/api${runPath(first)}/stream?with=${others.map(encodeURIComponent).join(',')}`;
  let source: EventSource | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    clearTimeout(again);
    source?.close();
    source = undefined;
  };
  const begin = () => {
    stop();
    if (document.hidden) return;
    source = new EventSource(address);
    source.addEventListener('rows', (event) => told(JSON.parse(event.data)));
    // it tries again of itself, but not where it was refused
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) again = setTimeout(begin, 5000);
    };
  };
  begin();
  document.addEventListener('visibilitychange', begin);
  return () => {
    document.removeEventListener('visibilitychange', begin);
    stop();
  };
}
