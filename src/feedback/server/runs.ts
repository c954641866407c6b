/** Runs: what trains or trained here, its metrics and what it wrote for people to read. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as breathe, setTimeout as pause } from 'node:timers/promises';
import { type Context, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { z } from 'zod';
import { isRun, type RunInfo, readInfo } from '../../run/index.ts';
import { isWritten } from '../../run/lock.ts';
import { createSampleIndex, type SampleIndex } from '../../run/samples.ts';
import { createRunSeries, type RunSeries } from '../../run/series.ts';
import { type Env, HttpError, parsed, personOf } from './context.ts';
import { spreadOf } from './runs-spread.ts';

/** Metrics and places of samples of so many runs are kept in memory. */
const KEPT = 16;
/** Runs that one stream follows: browsers keep few connections. */
const FOLLOWED = 20;
/** Milliseconds between looks at a file that grows. */
const LOOK = 500;

interface Found {
  id: string;
  path: string;
  info: RunInfo;
}

/** A run as the list tells of it. */
export interface ListedRun {
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
export const pageSchema = z.object({
  limit: number.int().min(1).max(1000).default(100),
  offset: number.int().min(0).default(0),
  search: z.string().max(200).default(''),
});
export const metricsSchema = z.object({
  names: z.string().max(10_000),
  buckets: number.int().min(1).max(5000).default(800),
  by: z.string().max(200).optional(),
  from: number.optional(),
  to: number.optional(),
  smooth: number.min(0).lt(1).optional(),
});
export const streamSchema = z.object({ with: z.string().max(5000).default('') });
export const samplesSchema = z.object({
  kind: z.string().max(100).optional(),
  step: number.optional(),
  limit: number.int().min(1).max(500).default(50),
  offset: number.int().min(0).default(0),
});

/** `folder` holds the runs, each a folder with a name without slashes, or stages of a pipeline in one of those. */
export function runRoutes(folder: string): Hono<Env> {
  const infos = new Map<string, { changed: number; info: RunInfo }>();
  const kept = new Map<string, { series: RunSeries; samples: SampleIndex }>();

  /** Folders of runs, as ids: `name` or `name~stage`. A config.json is read once. */
  function list(): Found[] {
    const found: Found[] = [];
    const look = (id: string, path: string) => {
      const config = statSync(join(path, 'config.json'), { throwIfNoEntry: false });
      if (!config) return undefined;
      let known = infos.get(id);
      if (known?.changed !== config.mtimeMs) {
        try {
          known = { changed: config.mtimeMs, info: readInfo(path) };
        } catch {
          return undefined; // the folder of something else
        }
        infos.set(id, known);
      }
      found.push({ id, path, info: known.info });
      return known.info;
    };
    for (const name of foldersIn(folder)) {
      const path = join(folder, name);
      if (look(name, path)?.command !== 'pipeline') continue;
      for (const stage of foldersIn(path)) look(`${name}~${stage}`, join(path, stage));
    }
    return found.sort((a, b) => (a.info.started < b.info.started ? 1 : -1));
  }

  /** @throws HttpError 404 for what is not in the listing, wherever its path would lead. */
  function pathOf(id: string): string {
    const parts = id.split('~');
    const sound = parts.length <= 2 && parts.every((part) => part !== '' && !/[/\\]|^\.\.?$/.test(part));
    const path = join(folder, ...parts);
    if (!sound || !isRun(path)) throw new HttpError(404, `There is no run "${id}".`);
    return path;
  }
  const asked = (context: Context<Env>): { id: string; path: string } => {
    personOf(context);
    const id = context.req.param('run')!;
    return { id, path: pathOf(id) };
  };

  function keptOf(id: string): { series: RunSeries; samples: SampleIndex } {
    const path = pathOf(id);
    const known = kept.get(id) ?? {
      series: createRunSeries(path),
      samples: createSampleIndex(join(path, 'samples.jsonl')),
    };
    // the last one used is the last to be forgotten
    kept.delete(id);
    kept.set(id, known);
    for (const [first] of kept) if (kept.size > KEPT) kept.delete(first);
    return known;
  }

  /** A run of millions of rows takes seconds to read at first; whoever labels meanwhile does not wait for it. */
  async function seriesOf(id: string): Promise<RunSeries> {
    const { series } = keptOf(id);
    for (series.refresh(1); !series.complete; series.refresh(1)) await breathe();
    return series;
  }

  return new Hono<Env>()
    .get('/', (context) => {
      personOf(context);
      const { limit, offset, search } = parsed(pageSchema, context.req.query());
      const words = search.toLowerCase().split(/\s+/).filter(Boolean);
      const all = list().filter(({ id, info: { name, command } }) =>
        words.every((word) => `${id} ${name} ${command}`.toLowerCase().includes(word)),
      );
      return context.json({ total: all.length, runs: all.slice(offset, offset + limit).map(listed) });
    })
    .get('/:run', async (context) => {
      const { id, path } = asked(context);
      const own = await seriesOf(id);
      const { samples } = keptOf(id);
      samples.refresh();
      return context.json({
        id,
        info: readInfo(path),
        running: isWritten(path),
        rows: own.rows,
        metrics: own.names(),
        latest: finite(own.latest()),
        samples: samples.counts(),
        report: existsSync(join(path, REPORT)),
        checkpoints: foldersIn(join(path, 'checkpoints')).filter((name) => /^\d+$/.test(name)),
      });
    })
    .get('/:run/metrics', async (context) => {
      const { id } = asked(context);
      const { names, ...options } = parsed(metricsSchema, context.req.query());
      const own = await seriesOf(id);
      return context.json(
        Object.fromEntries(names.split(',').map((name) => [name, own.buckets(name, options) ?? null])),
      );
    })
    .get('/:run/samples', (context) => {
      const { id } = asked(context);
      const what = parsed(samplesSchema, context.req.query());
      const { samples } = keptOf(id);
      samples.refresh();
      return context.json({ ...samples.read(what), steps: samples.steps(what.kind) });
    })
    .get('/:run/spread', (context) => {
      const { samples } = keptOf(asked(context).id);
      samples.refresh();
      return context.json(spreadOf(samples));
    })
    .get('/:run/report.html', async (context) => {
      const { path } = asked(context);
      const file = join(path, REPORT);
      if (!existsSync(file)) throw new HttpError(404, 'This run has no report yet.');
      const text = await readFile(file, 'utf8');
      return context.body(text, 200, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': reportPolicy(text),
        // browsers refuse what is both sandboxed and isolated
        'cross-origin-opener-policy': 'unsafe-none',
      });
    })
    .get('/:run/stream', (context) => {
      const { id } = asked(context);
      const others = parsed(streamSchema, context.req.query()).with.split(',').filter(Boolean);
      const ids = [id, ...others].slice(0, FOLLOWED);
      const paths = ids.map(pathOf);
      return streamSSE(context, async (stream) => {
        const told = (context.req.header('last-event-id') ?? '').split(',').map((text) => Number(text || -1));
        const states = ids.map((_, i) => `${told[i] ?? -1}`);
        let wasRunning = ids.map(() => true);
        while (!stream.aborted) {
          for (const [i, run] of ids.entries()) {
            const own = await seriesOf(run);
            const running = isWritten(paths[i]);
            if (states[i] === String(own.rows) && running === wasRunning[i]) continue;
            states[i] = String(own.rows);
            wasRunning = wasRunning.with(i, running);
            await stream.writeSSE({
              event: 'rows',
              id: states.join(','),
              data: JSON.stringify({ run, rows: own.rows, running, latest: finite(own.latest()) }),
            });
          }
          await pause(LOOK);
        }
      });
    });
}

function listed({ id, path, info: { name, command, started, seed } }: Found): ListedRun {
  const rows = statSync(join(path, 'metrics.jsonl'), { throwIfNoEntry: false });
  return { id, name, command, started, seed, changed: rows?.mtimeMs ?? Date.parse(started), running: isWritten(path) };
}

const REPORT = 'report.html';

/** A report is a page of its own that may run the scripts which it came with, and ask for nothing. */
function reportPolicy(text: string): string {
  const scripts = [...text.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
    ([, script]) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  );
  return `sandbox allow-scripts; default-src 'none'; script-src ${scripts.join(' ') || "'none'"}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
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
