/**
 * The feedback store under load, over HTTP: many people at once, a server that is killed in the middle, and one person in a browser.
 * HEED_POSTGRES names an empty database; without it a server of the machine's own packages is started where there is one.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';
import { addItems, addPerson, createProject, joinProjects, openDatabase } from '../dist/feedback/index.js';

/** A size that HEED_BENCH_… tells, else the usual. */
export const told = (name, usual) => Number(process.env[`HEED_BENCH_${name}`] ?? usual);

/** For a trial: HEED_BENCH_PEOPLE=20 HEED_BENCH_ITEMS=2000 HEED_BENCH_SECONDS=10. */
const PEOPLE = told('PEOPLE', 200);
const ITEMS = told('ITEMS', 100_000);
/** Milliseconds that somebody looks before they answer: at most; half of it on average. */
const THINKING = told('THINKING', 4000);
const SECONDS = told('SECONDS', 60);
/** Answers by keyboard in the browser. */
const KEYS = 200;
/** Visits of the page by a new browser. */
const VISITS = 20;

const pair = (n) => ({
  content: {
    prompt: `Prompt ${n}`,
    options: ['a', 'b'].map((which) => ({ kind: 'text', text: `${which} ${n} ${'word '.repeat(60)}` })),
  },
});

/** A store with a project, its items, and people with their tokens. */
export async function fill(at, items = ITEMS, settings = {}, people = PEOPLE) {
  const database = await openDatabase(at);
  const project = await createProject(database, `load ${randomUUID().slice(0, 8)}`, {
    overlap: 2,
    goldShare: 0,
    ...settings,
  });
  for (let from = 0; from < items; from += 5000) {
    await addItems(
      database,
      project,
      Array.from({ length: Math.min(5000, items - from) }, (_, i) => pair(from + i)),
    );
  }
  const tokens = [];
  for (let i = 0; i < people; i++) {
    const { person, token } = await addPerson(database, `annotator ${randomUUID().slice(0, 13)}`);
    await joinProjects(database, person, [project.name]);
    tokens.push(token);
  }
  return { database, project, tokens };
}

/** A studio in a process of its own, as people run it. */
export async function serve(at) {
  const args = [
    fileURLToPath(new URL('../bin/heed.js', import.meta.url)),
    'studio',
    '--store',
    at,
    '--port',
    '0',
    '--json',
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const said = await new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      if (text.includes('\n')) resolve(text);
    });
    child.once('exit', () => reject(new Error('the studio did not start')));
  });
  const { url, link } = JSON.parse(said);
  return { url, link, child, ended: new Promise((resolve) => child.once('exit', resolve)) };
}

/** Milliseconds of a core that processes have used; NaN where the system does not tell. */
function cpuOf(pids) {
  const ticks = (pid) => {
    const said = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [user, system] = said
      .slice(said.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13);
    return Number(user) + Number(system);
  };
  try {
    return 10 * pids.reduce((sum, pid) => sum + ticks(pid), 0);
  } catch {
    return Number.NaN;
  }
}

/** A POST on a connection that is kept, since that is what a browser does; the answer and how long it took. */
export function post(agent, url, token, body) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const text = JSON.stringify(body);
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    };
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let said = '';
      response.on('data', (data) => {
        said += data;
      });
      response.on('end', () => {
        const ms = performance.now() - began;
        if (response.statusCode === 200) resolve({ ms, value: JSON.parse(said) });
        else reject(new Error(`${response.statusCode} ${said}`));
      });
    });
    sent.on('error', reject);
    sent.end(text);
  });
}

/** Seconds between the looks of a lead at everything that is counted over a whole project. */
const LOOKING = 5;

/** Looks until `until` at a project, its items, its agreement and its people; the longest of each in milliseconds. */
async function lookOn({ database, project }, url, until) {
  const { token } = await addPerson(database, `lead ${randomUUID().slice(0, 13)}`, 'owner');
  const path = `${url}/api/projects/${encodeURIComponent(project.name)}`;
  const looks = { project: '', items: '/items', search: '/items?search=77', quality: '/quality', work: '/work' };
  const longest = {};
  while (performance.now() < until) {
    for (const [name, what] of Object.entries(looks)) {
      const began = performance.now();
      const response = await fetch(path + what, { headers: { authorization: `Bearer ${token}` } });
      if (!response.ok) throw new Error(`${what}: ${response.status}`);
      await response.text();
      longest[name] = Math.round(Math.max(longest[name] ?? 0, performance.now() - began));
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 * LOOKING));
  }
  return longest;
}

/** People who look and answer for some seconds; each keeps to one server. With `lead`, somebody looks on. */
async function load({ project, tokens, database }, urls, seconds, thinking, lead) {
  const agent = new Agent({ keepAlive: true, maxSockets: 4000 });
  const [next, judgment] = [[], []];
  const acknowledged = new Map();
  let again = 0;
  const until = performance.now() + 1000 * seconds;
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const looks = lead && lookOn({ database, project }, urls[0], until);
  await Promise.all(
    tokens.map(async (token, i) => {
      const path = `${urls[i % urls.length]}/api/projects/${encodeURIComponent(project.name)}`;
      const mine = new Set();
      await pause(Math.random() * thinking);
      while (performance.now() < until) {
        const { ms, value } = await post(agent, `${path}/next`, token, { count: 1 });
        next.push(ms);
        const [{ item, shown } = {}] = value.assignments;
        if (!item) break; // a trial may come to its end
        again += Number(mine.has(item.id));
        mine.add(item.id);
        await pause(Math.random() * thinking);
        const id = randomUUID();
        const voted = await post(agent, `${path}/judgments`, token, {
          id,
          item: item.id,
          judgment: { kind: 'pair', choice: 'first' },
          shown,
          duration: 1000,
        });
        judgment.push(voted.ms);
        acknowledged.set(id, item.id);
      }
    }),
  );
  agent.destroy();
  const looked = await looks;
  const { query } = database;
  const kept = new Set(
    (await query.selectFrom('judgments').select('id').where('project', '=', project.id).execute()).map(({ id }) => id),
  );
  const over = await query
    .selectFrom('items')
    .select((select) => select.fn.countAll().as('n'))
    .where('project', '=', project.id)
    .where('answered', '>', 2)
    .executeTakeFirstOrThrow();
  const lost = [...acknowledged.keys()].filter((id) => !kept.has(id)).length;
  return { next, judgment, lost, over: Number(over.n), again, looked };
}

export const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))];
const times = (name, values) => `${name} ${quantile(values, 0.5).toFixed(1)} / ${quantile(values, 0.99).toFixed(1)} ms`;

/**
 * People at servers of their own; each looks for `thinking` milliseconds at most, half of it on average. `lead`: whether
 * somebody looks on.
 */
export async function measured(at, servers, settings, usual = {}) {
  const { people = PEOPLE, items = ITEMS, thinking = THINKING, lead = false } = usual;
  const store = await fill(at, items, settings, people);
  const studios = await Promise.all(Array.from({ length: servers }, () => serve(at)));
  const pids = studios.map(({ child }) => child.pid);
  try {
    const before = cpuOf(pids);
    const { next, judgment, lost, over, again, looked } = await load(
      store,
      studios.map(({ url }) => url),
      SECONDS,
      thinking,
      lead,
    );
    const looking = looked
      ? `; a lead looks every ${LOOKING} s and waits at most ${Object.entries(looked)
          .map(([what, ms]) => `${ms} ms for ${what}`)
          .join(', ')}`
      : '';
    const cpu = (cpuOf(pids) - before) / (next.length + judgment.length);
    return {
      value: `${times('next', next)}, ${times('judgment', judgment)}`,
      target: 'p99 ≤ 50 ms, nothing lost or given twice',
      note: `p50 / p99; ${judgment.length} judgments of ${people} people in ${SECONDS} s, ${items} items; ${lost} lost, ${over} items answered by too many, ${again} given to somebody twice; ${cpu.toFixed(1)} ms of a core in the servers for each request${looking}`,
      cpu,
      p99: { next: quantile(next, 0.99), judgment: quantile(judgment, 0.99) },
      lost,
      over,
      again,
    };
  } finally {
    for (const { child, ended } of studios) {
      child.kill('SIGTERM');
      await ended;
    }
    await store.database.close();
  }
}

async function* inTemporaryFolder(body) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  try {
    yield* body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function* sqlite() {
  yield* inTemporaryFolder(async function* (folder) {
    yield { name: 'SQLite, one server', ...(await measured(join(folder, 'feedback.db'), 1)) };
    const budget = { labels: 2 * ITEMS };
    yield { name: 'SQLite, with a label budget', ...(await measured(join(folder, 'budget.db'), 1, budget)) };
  });
}

/** What tests bring along: TypeScript, which Node may not read. */
export const support = async (name) =>
  (await runnerImport(fileURLToPath(new URL(`../test/support/${name}.ts`, import.meta.url)))).module;

/** The rows of `run` with a PostgreSQL of its own, which others in `networks` may reach too; one row if there is none. */
export async function* onPostgres(name, run, networks) {
  const server = await (await support('postgres')).startPostgres(networks);
  if (!server) {
    yield { name, value: 'not measured', note: 'no PostgreSQL here' };
    return;
  }
  try {
    yield* run(server);
  } finally {
    await server.stop();
  }
}

async function* postgres() {
  const name = 'PostgreSQL, two servers';
  const on = async (address) => ({ name, ...(await measured(address, 2)) });
  if (process.env.HEED_POSTGRES) yield await on(process.env.HEED_POSTGRES);
  else
    yield* onPostgres(name, async function* (server) {
      yield await on(await server.database());
    });
}

/** The rows of `run` with a studio and a real Chromium; one row if there is none. `label` opens the page that judges. */
async function* inChromium(name, run) {
  const browser = await (await support('browser')).startBrowser();
  if (!browser) {
    yield { name, value: 'not measured', note: 'no Chromium here' };
    return;
  }
  try {
    yield* inTemporaryFolder(async function* (folder) {
      const at = join(folder, 'feedback.db');
      const { database, project } = await fill(at, KEYS + 20);
      const { url, link, child, ended } = await serve(at);
      const label = async (page) => {
        await page.goto(`${url}/#/label/${encodeURIComponent(project.name)}`);
        await page.getByRole('region', { name: 'Prompt' }).waitFor();
      };
      try {
        const page = await browser.newPage();
        await page.goto(link);
        await page.getByRole('heading', { name: 'Projects' }).waitFor(); // it has come in by its link
        yield* run(page, label);
      } finally {
        child.kill('SIGTERM');
        await ended;
        await database.close();
      }
    });
  } finally {
    await browser.close();
  }
}

/** From a key to the frame with the next item. */
async function* keys() {
  const name = 'key to next item, Chromium';
  yield* inChromium(name, async function* (page, label) {
    await label(page);
    await page.evaluate(() => {
      const shown = () => document.querySelector('[aria-label="Prompt"]')?.textContent;
      let [pressed, before] = [0, shown()];
      window.waited = [];
      addEventListener(
        'keydown',
        () => {
          pressed = performance.now();
        },
        { capture: true },
      );
      const look = () => {
        const now = shown();
        if (!now || now === before) return;
        before = now;
        requestAnimationFrame(() => window.waited.push(performance.now() - pressed));
      };
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
    for (let i = 0; i < KEYS; i++) {
      await page.keyboard.press('1');
      await page.waitForFunction((n) => window.waited.length > n, i);
    }
    const waited = await page.evaluate(() => window.waited);
    yield {
      name,
      value: times('', waited).trim(),
      target: 'p99 ≤ 50 ms',
      note: `p50 / p99 of ${KEYS} answers`,
      p99: quantile(waited, 0.99),
    };
  });
}

/** From the address to the first paint and to the first item, by a browser that has seen nothing; and what it fetches. */
async function* paint() {
  const name = 'first paint, Chromium';
  yield* inChromium(name, async function* (page, label) {
    const state = await page.context().storageState();
    const [painted, shown, fetched] = [[], [], []];
    for (let i = 0; i < VISITS; i++) {
      const context = await page.context().browser().newContext({ storageState: state });
      const fresh = await context.newPage();
      const requests = [];
      fresh.on('requestfinished', (request) => requests.push(request));
      await label(fresh);
      shown.push(await fresh.evaluate(() => performance.now()));
      painted.push(await fresh.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
      const sizes = await Promise.all(requests.map((request) => request.sizes()));
      fetched.push(sizes.reduce((sum, { responseBodySize }) => sum + responseBodySize, 0));
      await context.close();
    }
    const note = `p50 / p99 of ${VISITS} visits`;
    yield { name, value: times('', painted).trim(), target: '≤ 0.8 s', note };
    yield { name: 'first item, Chromium', value: times('', shown).trim(), note };
    const most = Math.max(...fetched) / 1000;
    yield {
      name: 'fetched by then',
      value: `${most.toFixed(0)} kB`,
      target: '≤ 350 kB',
      note: 'as sent, fonts included',
    };
  });
}

/** A server killed again and again while people judge: what it had acknowledged is there. */
async function* killed() {
  yield* inTemporaryFolder(async function* (folder) {
    const at = join(folder, 'feedback.db');
    const { database, project, tokens } = await fill(at, 5000);
    const acknowledged = new Set();
    const rounds = 20;
    for (let round = 0; round < rounds; round++) {
      const { url, child, ended } = await serve(at);
      const agent = new Agent({ keepAlive: true });
      const path = `${url}/api/projects/${encodeURIComponent(project.name)}`;
      const people = tokens.slice(0, 20).map(async (token) => {
        for (;;) {
          const { value } = await post(agent, `${path}/next`, token, { count: 1 });
          const id = randomUUID();
          const { item } = value.assignments[0];
          await post(agent, `${path}/judgments`, token, {
            id,
            item: item.id,
            judgment: { kind: 'pair', choice: 'tie' },
          });
          acknowledged.add(id);
        }
      });
      setTimeout(() => child.kill('SIGKILL'), 300 + Math.random() * 700);
      await Promise.allSettled(people);
      await ended;
      agent.destroy();
    }
    const kept = new Set((await database.query.selectFrom('judgments').select('id').execute()).map(({ id }) => id));
    const lost = [...acknowledged].filter((id) => !kept.has(id)).length;
    await database.close();
    yield {
      name: `acknowledged judgments lost, ${rounds} times kill -9`,
      value: `${lost} of ${acknowledged.size}`,
      target: '0',
      lost,
    };
  });
}

export const feedback = { sections: { sqlite, postgres, killed, keys, paint } };
