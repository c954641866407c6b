/**
 * Hours of people who judge, beside a training: does memory grow, and does anybody wait? A line of JSON a minute goes to
 * trust-soak-STORE.jsonl in HEED_BENCH_FOLDER; Ctrl-C ends a run early, with its summary. For a hot run that looks for
 * leaks: HEED_BENCH_THINKING=50 (milliseconds) HEED_BENCH_SAMPLE=10 (seconds) HEED_BENCH_PEOPLE=20.
 */
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { addPerson } from '../../dist/feedback/index.js';
import { fill, onPostgres, post, quantile, told } from '../feedback.js';
import { keptResults } from '../kept.js';
import { path } from '../sides.js';
import { damage } from './kills.js';
import { interruption, opened, start, stop } from './programs.js';

const PEOPLE = told('PEOPLE', 200);
/** Milliseconds from an item to its judgment: on average, from half of it to one and a half. */
const THINKING = told('THINKING', 4000);
/** Seconds between samples. */
const SAMPLE = told('SAMPLE', 60);
/** People who also read the stream of events, and the mean time until they read it anew, in milliseconds. */
const [LISTENERS, LISTENING] = [10, 60_000];
/** Milliseconds between looks of an owner at the quality, and of Prometheus at the metrics. */
const [LOOKING, SCRAPING] = [30_000, 15_000];
/** Of a run, the share before memory counts, and its seconds at most. */
const WARM = { share: 0.25, seconds: 1200 };

/** Collects garbage when asked, and says what is left. */
const MEMORY = `
// threads of the studio have no channel
if (process.send) {
  process.on('message', () => {
    gc();
    process.send(process.memoryUsage());
  });
  process.channel.unref();
}`;

const memoryOf = ({ child }) =>
  new Promise((resolve) => {
    child.once('message', resolve);
    child.send('?');
  });

/** Seconds of a core that a process has used so far. */
function coreSeconds(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) / 100;
}

/** A small training that begins again when it ends, and lets the studio go first; `steps` so far. */
function training(folder) {
  const data = join(folder, 'texts.jsonl');
  const rows = Array.from({ length: 200 }, (_, i) => `${JSON.stringify({ text: `the number ${i} is ${i % 3}` })}\n`);
  writeFileSync(data, rows.join(''));
  const model = ['--model', path('../test/fixtures/models/tiny-llama')];
  const often = ['--steps', '20000', '--rows', '8', '--evaluations', '4', '--samples.maxTokens', '4'];
  let [over, steps, runs, current] = [false, 0, 0];
  const metrics = () => join(folder, `run-${runs}`, 'metrics.jsonl');
  const lines = () => (existsSync(metrics()) ? readFileSync(metrics(), 'utf8').split('\n').length - 1 : 0);
  const all = (async () => {
    while (!over) {
      const out = join(folder, `run-${runs}`);
      current = start(['sft', ...model, '--data', data, ...often, '--out', out], {
        cwd: folder,
        within: ['nice', '-n', '10'],
      });
      if ((await current.ended) !== 0 && !over) throw new Error(`the training ended: ${current.lines.err.slice(-500)}`);
      steps += lines();
      rmSync(out, { recursive: true, force: true });
      runs++;
    }
  })();
  return {
    steps: () => steps + lines(),
    async end() {
      over = true;
      current.child.kill('SIGKILL');
      await all;
    },
  };
}

/** Everybody who uses the studios, until `end`. `take` returns what they saw since it was last called. */
function people({ project, tokens }, urls, owner) {
  const agent = new Agent({ keepAlive: true, maxSockets: 2000 });
  const acknowledged = new Set();
  const name = encodeURIComponent(project.name);
  const fresh = () => ({ next: [], judge: [], look: [], errors: 0, messages: new Set() });
  let seen = fresh();
  let over = false;
  const failed = (error) => {
    if (over) return;
    seen.errors++;
    if (seen.messages.size < 5) seen.messages.add(error.message.slice(0, 200));
  };
  const ask = async (kind, ...request) => {
    for (;;) {
      try {
        const { ms, value } = await post(agent, ...request);
        seen[kind].push(ms);
        return value;
      } catch (error) {
        failed(error);
        if (over) throw error;
        await wait(1000);
      }
    }
  };
  const thinking = () => wait(THINKING * (0.5 + Math.random()));
  const judges = tokens.map(async (token, i) => {
    const at = `${urls[i % urls.length]}/api/projects/${name}`;
    await wait(Math.random() * THINKING);
    while (!over) {
      const { assignments } = await ask('next', `${at}/next`, token, { count: 1 });
      const [{ item, shown } = {}] = assignments;
      if (!item) return;
      await thinking();
      const [id, duration] = [randomUUID(), THINKING];
      const judgment = { kind: 'pair', choice: Math.random() < 0.5 ? 'first' : 'second' };
      await ask('judge', `${at}/judgments`, token, { id, item: item.id, judgment, shown, duration });
      acknowledged.add(id);
      if (Math.random() > 0.02) continue;
      // now and then somebody changes their mind
      await ask('judge', `${at}/undo`, token, { id: randomUUID(), item: item.id });
      await ask('judge', `${at}/judgments`, token, { id: randomUUID(), item: item.id, judgment });
    }
  });
  const open = new Set();
  /** Reads an address until it ends, or for some time. */
  const read = (url, token, milliseconds = 30_000) =>
    new Promise((resolve) => {
      const began = performance.now();
      const asked = get(url, { agent: false, headers: { authorization: `Bearer ${token}` } }, (response) => {
        if (response.statusCode !== 200) failed(new Error(`${url.replace(/.*api/, '')}: ${response.statusCode}`));
        response.resume();
        response.on('error', () => {});
        response.on('end', () => resolve(performance.now() - began));
        response.on('close', () => resolve(performance.now() - began));
      });
      asked.on('error', resolve);
      open.add(asked);
      const late = setTimeout(() => asked.destroy(), milliseconds);
      asked.once('close', () => {
        open.delete(asked);
        clearTimeout(late);
      });
    });
  const again = async (work, pause) => {
    while (!over) {
      await work();
      for (const until = performance.now() + pause; !over && performance.now() < until; ) await wait(200);
    }
  };
  const others = [
    ...tokens.slice(0, LISTENERS).map((token, i) => {
      const url = `${urls[i % urls.length]}/api/events?project=${name}`;
      return again(() => read(url, token, LISTENING * Math.random()), 100);
    }),
    ...urls.flatMap((url) => [
      again(async () => seen.look.push(await read(`${url}/api/projects/${name}/quality`, owner)), LOOKING),
      again(async () => seen.look.push(await read(`${url}/api/projects/${name}/items?search=7`, owner)), LOOKING),
      again(() => read(`${url}/metrics`, owner), SCRAPING),
    ]),
  ];
  return {
    acknowledged,
    take() {
      const taken = seen;
      seen = fresh();
      return taken;
    },
    async end() {
      over = true;
      await Promise.allSettled(judges);
      agent.destroy();
      for (const asked of open) asked.destroy();
      await Promise.allSettled(others);
    },
  };
}

/** The slope of a line through points by least squares, with half of its 95 % interval. */
export function slope(points) {
  const n = points.length;
  if (n < 3) return { slope: Number.NaN, half: Number.NaN };
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / n;
  const [x, y] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const spread = points.reduce((sum, [px]) => sum + (px - x) ** 2, 0);
  const found = points.reduce((sum, [px, py]) => sum + (px - x) * (py - y), 0) / spread;
  const rest = points.reduce((sum, [px, py]) => sum + (py - y - found * (px - x)) ** 2, 0);
  // Student's t for so many points, closely enough
  const t = 1.96 + 2.4 / (n - 2);
  return { slope: found, half: t * Math.sqrt(rest / (n - 2) / spread) };
}

const MIB = 2 ** 20;
const rounded = (value, digits = 1) => Math.round(value * 10 ** digits) / 10 ** digits;

async function* soakOn(store, address, count, { minutes, kept }) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-soak-'));
  const lines = join(kept.folder, `trust-soak-${store}.jsonl`);
  const studios = [];
  let trained;
  let stopped = false;
  interruption.run = () => {
    stopped = true;
  };
  try {
    const judgments = (minutes * 60 * PEOPLE) / (THINKING / 1000);
    const at = address ?? join(folder, 'feedback.db');
    const filled = await fill(at, Math.ceil(judgments * 0.6) + 1000, {}, PEOPLE);
    const { token: owner } = await addPerson(filled.database, `owner ${randomUUID().slice(0, 8)}`, 'owner');
    const preload = ['--expose-gc', '--import', `data:text/javascript,${encodeURIComponent(MEMORY)}`];
    for (let i = 0; i < count; i++)
      studios.push(await opened(['studio', '--store', at], { cwd: folder, preload, ipc: true }));
    trained = training(folder);
    const using = people(
      filled,
      studios.map(({ url }) => url),
      owner,
    );
    const [samples, all] = [[], { next: [], judge: [], look: [], errors: 0, messages: new Set() }];
    const began = performance.now();
    const hours = () => (performance.now() - began) / 3.6e6;
    const end = began + 60_000 * minutes;
    for (let last = began; !stopped && performance.now() < end; ) {
      for (const until = Math.min(end, last + 1000 * SAMPLE); !stopped && performance.now() < until; ) await wait(100);
      const seconds = (performance.now() - last) / 1000;
      last = performance.now();
      const { errors, messages, ...times } = using.take();
      for (const [kind, list] of Object.entries(times)) for (const ms of list) all[kind].push(ms);
      all.errors += errors;
      for (const message of messages) all.messages.add(message);
      const of = (kind) => [0.5, 0.99].map((share) => rounded(quantile(times[kind], share)));
      const memory = await Promise.all(studios.map(memoryOf));
      const sample = {
        hours: rounded(hours(), 4),
        seconds: rounded(seconds),
        next: of('next'),
        judge: of('judge'),
        look: of('look'),
        judgments: times.judge.length,
        errors,
        messages: [...messages],
        steps: trained.steps(),
        core: studios.map(({ child }) => rounded(coreSeconds(child.pid))),
        rss: memory.map(({ rss }) => rounded(rss / MIB)),
        heap: memory.map(({ heapUsed }) => rounded(heapUsed / MIB, 2)),
        external: memory.map(({ external }) => rounded(external / MIB, 2)),
      };
      samples.push(sample);
      appendFileSync(lines, `${JSON.stringify(sample)}\n`);
      console.error(JSON.stringify(sample));
    }
    const took = hours();
    await using.end();
    const steps = trained.steps();
    const { lost, twice, over } = await damage(filled, using.acknowledged);
    await filled.database.close();
    const warm = samples.filter(({ hours }) => hours > Math.min(WARM.share * took, WARM.seconds / 3600));
    const slopes = (what) =>
      studios.map((_, i) => {
        const found = slope(warm.map((sample) => [sample.hours, sample[what][i]]));
        return { slope: rounded(found.slope, 2), half: rounded(found.half, 2) };
      });
    const p = (kind) => [0.5, 0.99].map((share) => rounded(quantile(all[kind], share)));
    const result = {
      hours: rounded(took, 3),
      people: PEOPLE,
      thinking: THINKING,
      judgments: all.judge.length,
      errors: all.errors,
      messages: [...all.messages].slice(0, 8),
      lost,
      twice,
      over,
      steps,
      next: p('next'),
      judge: p('judge'),
      look: p('look'),
      rss: slopes('rss'),
      heap: slopes('heap'),
      samples: warm.length,
      last: samples.at(-1),
    };
    appendFileSync(lines, `${JSON.stringify({ summary: result })}\n`);
    const show = (list) => list.map(({ slope, half }) => `${slope} ± ${half}`).join(' and ');
    const where = `${store}, ${count === 1 ? 'one server' : `${count} servers`}, beside a training`;
    const people200 = `${PEOPLE} people, ${rounded(result.judgments / took / 3600)} judgments/s, ${result.hours} h`;
    yield {
      name: `memory: ${where}`,
      value: `heap after a collection ${show(result.heap)} MB/h`,
      target: '≤ 1 MB/h',
      note: `resident ${show(result.rss)} MB/h, 95 % intervals of ${warm.length} samples; at the end ${result.last?.heap.join(' and ')} MB of heap, ${result.last?.rss.join(' and ')} MB resident; ${people200}`,
      ...result,
    };
    yield {
      name: `waiting: ${where}`,
      value: `next ${result.next.join(' / ')} ms, judging ${result.judge.join(' / ')} ms`,
      target: 'p99 ≤ 50 ms',
      note: `p50 / p99; ${result.judgments} judgments, ${result.errors} errors, ${lost} lost, ${twice} twice, ${over} items judged by too many; ${steps} steps of training`,
    };
  } finally {
    interruption.run = undefined;
    for (const studio of studios) await stop(studio);
    await trained?.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** SQLite and one server, then PostgreSQL and two; `env` names one alone: sqlite or postgres. */
export async function* soak({ minutes, env }) {
  const kept = keptResults('trust-soak.jsonl');
  try {
    if (env === undefined || env === 'sqlite') yield* soakOn('sqlite', undefined, 1, { minutes, kept });
    if (env !== undefined && env !== 'postgres') return;
    yield* onPostgres('PostgreSQL, two servers', async function* (server) {
      yield* soakOn('postgres', await server.database(), 2, { minutes, kept });
    });
  } finally {
    kept[Symbol.dispose]();
  }
}
