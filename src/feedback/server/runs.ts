/** Runs: what trains or trained here, its metrics and what it wrote for people to read. */
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Context, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { z } from 'zod';
import { isRun, type RunInfo, readInfo } from '../../run/index.ts';
import { decode } from '../../run/json.ts';
import { createRunSeries, type RunSeries } from '../../run/series.ts';
import { type Env, HttpError, parsed, personOf } from './context.ts';

/** Metrics of so many runs are kept in memory. */
const KEPT = 16;
/** Milliseconds between looks at a file that grows. */
const LOOK = 500;

interface Listed {
  id: string;
  name: string;
  command: string;
  started: string;
  seed: number;
  /** When a row was last written, in milliseconds since 1970. */
  changed: number;
  /** Whether a process writes to it now. */
  running: boolean;
}

const number = z.coerce.number();
const pageSchema = z.object({
  limit: number.int().min(1).max(1000).default(100),
  offset: number.int().min(0).default(0),
  search: z.string().max(200).default(''),
});
const metricsSchema = z.object({
  names: z.string().max(10_000),
  buckets: number.int().min(1).max(5000).default(800),
  from: number.optional(),
  to: number.optional(),
  smooth: number.min(0).lt(1).optional(),
});
const samplesSchema = z.object({
  kind: z.string().max(100).optional(),
  step: number.optional(),
  limit: number.int().min(1).max(500).default(50),
  offset: number.int().min(0).default(0),
});

/** `folder` holds the runs, each a folder with a name without slashes, or stages of a pipeline in one of those. */
export function runRoutes(folder: string): Hono<Env> {
  const infos = new Map<string, { changed: number; info: RunInfo }>();
  const series = new Map<string, RunSeries>();

  /** Folders of runs, as ids: `name` or `name~stage`. A config.json is read once. */
  function list(): Listed[] {
    const found: Listed[] = [];
    const look = (id: string, path: string) => {
      const config = statSync(join(path, 'config.json'), { throwIfNoEntry: false });
      if (!config) return false;
      let known = infos.get(id);
      if (known?.changed !== config.mtimeMs) {
        if (!isRun(path)) return false;
        known = { changed: config.mtimeMs, info: readInfo(path) };
        infos.set(id, known);
      }
      const { name, command, started, seed } = known.info;
      const rows = statSync(join(path, 'metrics.jsonl'), { throwIfNoEntry: false });
      const running = existsSync(join(path, 'lock'));
      found.push({ id, name, command, started, seed, changed: rows?.mtimeMs ?? config.mtimeMs, running });
      return true;
    };
    for (const name of foldersIn(folder)) {
      const path = join(folder, name);
      if (!look(name, path) || infos.get(name)!.info.command !== 'pipeline') continue;
      for (const stage of foldersIn(path)) look(`${name}~${stage}`, join(path, stage));
    }
    return found.sort((a, b) => b.started.localeCompare(a.started));
  }

  /** @throws HttpError 404 for what is not in the listing, wherever its path would lead. */
  function pathOf(context: Context<Env>): { id: string; path: string } {
    personOf(context);
    const id = context.req.param('run')!;
    const parts = id.split('~');
    const sound = parts.length <= 2 && parts.every((part) => part !== '' && !/[/\\]|^\.\.?$/.test(part));
    const path = join(folder, ...parts);
    if (!sound || !isRun(path)) throw new HttpError(404, `There is no run "${id}".`);
    return { id, path };
  }

  function seriesOf(id: string, path: string): RunSeries {
    const known = series.get(id) ?? createRunSeries(join(path, 'metrics.jsonl'));
    // the last one used is the last to be forgotten
    series.delete(id);
    series.set(id, known);
    for (const [first] of series) if (series.size > KEPT) series.delete(first);
    known.refresh();
    return known;
  }

  return new Hono<Env>()
    .get('/', (context) => {
      personOf(context);
      const { limit, offset, search } = parsed(pageSchema, context.req.query());
      const words = search.toLowerCase().split(/\s+/).filter(Boolean);
      const all = list().filter(({ id, name, command }) =>
        words.every((word) => `${id} ${name} ${command}`.toLowerCase().includes(word)),
      );
      return context.json({ total: all.length, runs: all.slice(offset, offset + limit) });
    })
    .get('/:run', (context) => {
      const { id, path } = pathOf(context);
      const own = seriesOf(id, path);
      const samples = countSamples(join(path, 'samples.jsonl'));
      return context.json({
        id,
        info: readInfo(path),
        running: existsSync(join(path, 'lock')),
        rows: own.rows,
        metrics: own.names(),
        latest: finite(own.latest()),
        samples,
        report: existsSync(join(path, 'report.html')),
      });
    })
    .get('/:run/metrics', (context) => {
      const { id, path } = pathOf(context);
      const { names, ...options } = parsed(metricsSchema, context.req.query());
      const own = seriesOf(id, path);
      return context.json(
        Object.fromEntries(names.split(',').map((name) => [name, own.buckets(name, options) ?? null])),
      );
    })
    .get('/:run/samples', (context) => {
      const { path } = pathOf(context);
      const { kind, step, limit, offset } = parsed(samplesSchema, context.req.query());
      const rows: unknown[] = [];
      let total = 0;
      for (const line of linesOf(join(path, 'samples.jsonl'))) {
        // most rows are passed over: they are not parsed for that
        if (kind !== undefined && !line.includes(`"kind":${JSON.stringify(kind)}`)) continue;
        if (step !== undefined && !new RegExp(`"step":${step}\\b`).test(line)) continue;
        if (total >= offset && rows.length < limit) rows.push(decode(JSON.parse(line)));
        total++;
      }
      return context.json({ total, samples: rows });
    })
    .get('/:run/stream', (context) => {
      const { id, path } = pathOf(context);
      return streamSSE(context, async (stream) => {
        let rows = Number(context.req.header('last-event-id') ?? -1);
        while (!stream.aborted) {
          const own = seriesOf(id, path);
          if (own.rows !== rows) {
            rows = own.rows;
            await stream.writeSSE({
              event: 'rows',
              id: String(rows),
              data: JSON.stringify({ rows, latest: finite(own.latest()) }),
            });
          }
          await pause(LOOK);
        }
      });
    });
}

const foldersIn = (path: string): string[] => {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return []; // no run was made yet
  }
};

/** JSON has no NaN. */
const finite = (values: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => Number.isFinite(value)));

function countSamples(path: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of linesOf(path)) {
    const kind = /"kind":"([^"]*)"/.exec(line)?.[1] ?? 'other';
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Whole lines of a file, a part of it in memory at a time. */
function* linesOf(path: string): Generator<string> {
  if (!existsSync(path)) return;
  const file = openSync(path, 'r');
  try {
    const part = Buffer.alloc(1 << 20);
    let rest = Buffer.alloc(0);
    for (let count = readSync(file, part); count > 0; count = readSync(file, part)) {
      const bytes = Buffer.concat([rest, part.subarray(0, count)]);
      let begin = 0;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, begin)) {
        if (end > begin) yield bytes.toString('utf8', begin, end);
        begin = end + 1;
      }
      rest = bytes.subarray(begin);
    }
  } finally {
    closeSync(file);
  }
}
