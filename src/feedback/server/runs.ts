/** Routes for runs: the list of them, their metrics, samples and reports, and a stream of what is new. */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fstatSync, lstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setImmediate as breathe, setTimeout as pause } from 'node:timers/promises';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { z } from 'zod';
import { HttpError } from '../../http/errors.ts';
import { isWritten, LOCK, writtenSince } from '../../run/lock.ts';
import { isRun, type RunInfo, readInfo } from '../../run/run.ts';
import { createSampleIndex, type SampleIndex } from '../../run/samples.ts';
import { createRunSeries, type RunSeries } from '../../run/series.ts';
import { type Env, number, query, requires } from './context.ts';
import { spreadOf } from './runs-spread.ts';

/** Runs whose metrics and index of samples stay in memory. */
const CACHED = 16;
/** Runs that one stream follows at most: a browser keeps few connections. */
const FOLLOWED = 20;
/** Milliseconds between checks of a growing file. */
const LOOK = 500;

interface RunFolder {
  id: string;
  path: string;
  info: RunInfo;
}

/** A run in the list. */
export const listedRunSchema = z.object({
  id: z.string().describe('name of the folder, or FOLDER~STAGE for a stage of a pipeline'),
  name: z.string(),
  command: z.string().describe('the command that started it, such as ppo'),
  started: z.string().describe('start time in ISO 8601'),
  seed: z.number(),
  changed: z.number().describe('time of the last written row, in milliseconds since 1970'),
  running: z.boolean().describe('whether a process is writing to it'),
  step: z.number().nullable().describe('last step that was written'),
  steps: z.number().nullable().describe('steps it is to take, if its settings say so'),
  secondsLeft: z.number().nullable().describe('while it runs: seconds until its last step, by its recent speed'),
});
/** A run in the list. */
export type ListedRun = z.output<typeof listedRunSchema>;

/** A page of the list of runs. */
export const runListSchema = z.object({
  total: z.number().int().describe('runs that match'),
  runs: z.array(listedRunSchema).describe('the newest first'),
});

/** Query of the request for a page of the list. */
export const pageSchema = z.object({
  limit: number.int().min(1).max(1000).default(100).describe('runs on a page'),
  offset: number.int().min(0).default(0).describe('runs to skip'),
  search: z.string().max(200).default('').describe('words that must occur in the id, name or command'),
});

/** Query of the request for metrics. */
export const metricsSchema = z.object({
  names: z.string().max(10_000).describe('names of metrics, separated by commas'),
  buckets: number.int().min(1).max(5000).default(800).describe('maximum number of points of each metric'),
  by: z.string().max(200).optional().describe('metric on the x axis; step by default'),
  from: number.optional().describe('minimum x of a point'),
  to: number.optional().describe('maximum x of a point'),
  smooth: number.min(0).lt(1).optional().describe('smoothing: share of the running mean that each row keeps'),
});

/** Query of the request for a stream. */
export const streamSchema = z.object({
  with: z.string().max(5000).default('').describe('ids of more runs, separated by commas'),
});

/** Query of the request for samples. */
export const samplesSchema = z.object({
  kind: z.string().max(100).optional().describe('kind of the samples'),
  step: number.optional().describe('step of the samples'),
  limit: number.int().min(1).max(500).default(50).describe('samples on a page'),
  offset: number.int().min(0).default(0).describe('samples to skip'),
});

/** An event of a run's stream. */
export interface RowsEvent {
  /** Id of the run. */
  run: string;
  /** Rows of metrics it has now. */
  rows: number;
  /** Whether a process is writing to it. */
  running: boolean;
  /** The latest value of each metric. */
  latest: Record<string, number>;
}

/** The runs in a folder, of which a pipeline's holds its stages, and what was read of them. */
function createRunFolders(folder: string) {
  const infos = new Map<string, { changed: number; info: RunInfo }>();
  const cache = new Map<string, { series: RunSeries; samples: SampleIndex }>();

  /** All runs, the newest first. A config.json is read again only if it has changed. */
  function list(): RunFolder[] {
    const found: RunFolder[] = [];
    const look = (id: string, path: string) => {
      const config = lstatSync(join(path, 'config.json'), { throwIfNoEntry: false });
      if (!config?.isFile()) return undefined;
      let entry = infos.get(id);
      if (entry?.changed !== config.mtimeMs) {
        try {
          entry = { changed: config.mtimeMs, info: readInfo(path) };
        } catch {
          return undefined; // not a run
        }
        infos.set(id, entry);
      }
      found.push({ id, path, info: entry.info });
      return entry.info;
    };
    for (const name of foldersIn(folder)) {
      const path = join(folder, name);
      if (look(name, path)?.command !== 'pipeline') continue;
      for (const stage of foldersIn(path)) look(`${name}~${stage}`, join(path, stage));
    }
    return found.sort((a, b) => (a.info.started < b.info.started ? 1 : -1));
  }

  /**
   * The folder of a run. Symbolic links in it are not followed: a run that came from elsewhere could have one to any file.
   *
   * @throws HttpError 404 if the id is not one of the list, wherever its path would lead.
   */
  function pathOf(id: string): string {
    const parts = id.split('~');
    const sound = parts.length <= 2 && parts.every((part) => part !== '' && !/[/\\]|^\.\.?$/.test(part));
    const path = join(folder, ...parts);
    const steps = parts.map((_, i) => join(folder, ...parts.slice(0, i + 1)));
    const linked = sound && [...steps, ...SERVED.map((name) => join(path, name))].find(isLink);
    if (linked) {
      throw new HttpError(
        404,
        `The run "${id}" has a symbolic link: ${basename(linked)}.`,
        'Replace the link with the file.',
      );
    }
    if (!sound || !isRun(path)) throw new HttpError(404, `There is no run "${id}".`);
    return path;
  }
  function dataOf(id: string): { series: RunSeries; samples: SampleIndex } {
    const path = pathOf(id);
    const entry = cache.get(id) ?? {
      series: createRunSeries(path),
      samples: createSampleIndex(join(path, 'samples.jsonl')),
    };
    // the least recently used entry is dropped first
    cache.delete(id);
    cache.set(id, entry);
    for (const [oldest] of cache) if (cache.size > CACHED) cache.delete(oldest);
    return entry;
  }

  function samplesOf(id: string): SampleIndex {
    const { samples } = dataOf(id);
    samples.refresh();
    return samples;
  }

  /** A run of millions of rows takes seconds to read at first: other requests run in between. */
  async function seriesOf(id: string): Promise<RunSeries> {
    const { series } = dataOf(id);
    for (series.refresh(1); !series.complete; series.refresh(1)) await breathe();
    return series;
  }

  return { list, pathOf, samplesOf, seriesOf };
}

/** The routes below `/runs`. `folder` holds the runs; a pipeline's folder holds its stages. */
export function runRoutes(folder: string) {
  const { list, pathOf, samplesOf, seriesOf } = createRunFolders(folder);
  return new Hono<Env>()
    .get('/', requires('reviewer'), query(pageSchema), (context) => {
      const { limit, offset, search } = context.req.valid('query');
      const words = search.toLowerCase().split(/\s+/).filter(Boolean);
      const all = list().filter(({ id, info: { name, command } }) =>
        words.every((word) => `${id} ${name} ${command}`.toLowerCase().includes(word)),
      );
      return context.json({ total: all.length, runs: all.slice(offset, offset + limit).map(listed) });
    })
    .get('/:run', requires('reviewer'), async (context) => {
      const id = context.req.param('run');
      const path = pathOf(id);
      const series = await seriesOf(id);
      return context.json({
        id,
        info: readInfo(path),
        running: isWritten(path),
        rows: series.rows,
        metrics: series.names(),
        latest: finite(series.latest()),
        samples: samplesOf(id).counts(),
        report: existsSync(join(path, REPORT)),
        checkpoints: foldersIn(join(path, 'checkpoints')).filter((name) => /^\d+$/.test(name)),
      });
    })
    .get('/:run/metrics', requires('reviewer'), query(metricsSchema), async (context) => {
      const { names, ...options } = context.req.valid('query');
      const series = await seriesOf(context.req.param('run'));
      const metrics = names.split(',').map((name) => [name, series.buckets(name, options) ?? null] as const);
      return context.json(Object.fromEntries(metrics));
    })
    .get('/:run/samples', requires('reviewer'), query(samplesSchema), (context) => {
      const options = context.req.valid('query');
      const samples = samplesOf(context.req.param('run'));
      return context.json({ ...samples.read(options), steps: samples.steps(options.kind) });
    })
    .get('/:run/spread', requires('reviewer'), (context) => context.json(spreadOf(samplesOf(context.req.param('run')))))
    .get('/:run/report.html', requires('reviewer'), async (context) => {
      const file = join(pathOf(context.req.param('run')), REPORT);
      if (!existsSync(file)) throw new HttpError(404, 'This run has no report yet.');
      const text = await readFile(file, 'utf8');
      return context.body(text, 200, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': reportPolicy(text),
        // browsers refuse a page that is both sandboxed and isolated
        'cross-origin-opener-policy': 'unsafe-none',
      });
    })
    .get('/:run/stream', requires('reviewer'), query(streamSchema), (context) => {
      const others = context.req.valid('query').with.split(',').filter(Boolean);
      const ids = [context.req.param('run'), ...others].slice(0, FOLLOWED);
      const paths = ids.map(pathOf);
      return streamSSE(context, async (stream) => {
        const last = (context.req.header('last-event-id') ?? '').split(',').map((text) => Number(text || -1));
        const sent = ids.map((_, i) => `${last[i] ?? -1}`);
        let wasRunning = ids.map(() => true);
        while (!stream.aborted) {
          for (const [i, run] of ids.entries()) {
            const series = await seriesOf(run);
            const running = isWritten(paths[i]);
            if (sent[i] === String(series.rows) && running === wasRunning[i]) continue;
            sent[i] = String(series.rows);
            wasRunning = wasRunning.with(i, running);
            const event: RowsEvent = { run, rows: series.rows, running, latest: finite(series.latest()) };
            await stream.writeSSE({ event: 'rows', id: sent.join(','), data: JSON.stringify(event) });
          }
          await pause(LOOK);
        }
      });
    });
}

function listed({ id, path, info }: RunFolder): ListedRun {
  const { name, command, started, seed } = info;
  const file = join(path, 'metrics.jsonl');
  const rows = isLink(file) ? undefined : statSync(file, { throwIfNoEntry: false });
  const since = writtenSince(path);
  const changed = rows?.mtimeMs ?? Date.parse(started);
  return {
    id,
    name,
    command,
    started,
    seed,
    changed,
    running: since !== undefined,
    ...runProgress(info, rows && file, since),
  };
}

/** Bytes at the end of a run's metrics that its speed is read from. */
const TAIL = 16 * 1024;

/**
 * How far a run is, and how long it will take at the speed of its latest rows. `since`: when the process that writes it
 * began to, in milliseconds; earlier rows, before a pause, say nothing of the speed.
 */
export function runProgress(
  { config }: Pick<RunInfo, 'config'>,
  file: string | undefined,
  since: number | undefined,
): Pick<ListedRun, 'step' | 'steps' | 'secondsLeft'> {
  const planned = (config as { steps?: unknown } | null)?.steps;
  const steps = typeof planned === 'number' && planned > 0 ? planned : null;
  const rows = file === undefined ? [] : latestRows(file);
  const last = rows.at(-1);
  if (!last) return { step: null, steps, secondsLeft: null };
  const first = since === undefined ? undefined : rows.find(({ time }) => 1000 * time >= since);
  const speed = first ? (last.step - first.step) / (last.time - first.time) : 0;
  const left = steps !== null && speed > 0 ? Math.max(0, (steps - last.step) / speed) : null;
  return { step: last.step, steps, secondsLeft: left };
}

/** The last rows of a file of metrics; the first and the last of them may be cut, and are left out. */
function latestRows(file: string): { step: number; time: number }[] {
  const handle = openSync(file, 'r');
  try {
    const { size } = fstatSync(handle);
    const bytes = Buffer.alloc(Math.min(TAIL, size));
    readSync(handle, bytes, 0, bytes.length, size - bytes.length);
    return bytes
      .toString('utf8')
      .split('\n')
      .flatMap((line) => {
        try {
          const { step, time } = JSON.parse(line);
          return typeof step === 'number' && typeof time === 'number' ? [{ step, time }] : [];
        } catch {
          return [];
        }
      });
  } finally {
    closeSync(handle);
  }
}

const REPORT = 'report.html';
/** What is read of a run's folder. */
const SERVED = ['config.json', 'metrics.jsonl', 'samples.jsonl', 'metrics.columns', 'checkpoints', LOCK, REPORT];
const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;

/** A report is a page that may run its own scripts and load nothing. */
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
    return []; // there are no runs yet
  }
};

/** JSON has no NaN. */
const finite = (values: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => Number.isFinite(value)));
