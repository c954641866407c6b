/**
 * Networks that drop everything, databases that stand still, and stores that another process has locked: two studios in
 * network namespaces of their own share a PostgreSQL, and people judge through both. A request has to end within the
 * promised time, the studio has to be unready meanwhile and to go on afterwards, and no judgment may be lost. Namespaces
 * take root; elsewhere that is not measured.
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { openSqlite } from '../../dist/sqlite.js';
import { fill, onPostgres, post } from '../feedback.js';
import { keptResults } from '../kept.js';
import { damage } from './kills.js';
import { opened, stop } from './programs.js';

const PEOPLE = 24;
const ITEMS = 20_000;
/** Seconds in which the studio answers annotators, however slow its store is; and those that a busy machine adds. */
const PROMISED = 25 + 3;
/** Milliseconds that somebody thinks: the page of somebody who waits asks again after three seconds. */
const [THINKING, AGAIN] = [300, 1000];

/** One end of a cable in a namespace of its own, the other here. */
function cable(space, link, subnet, device) {
  const ip = (...args) => {
    const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
  };
  const inside = (...args) => ip('-n', space, ...args);
  const [here, there] = [`${subnet}.1`, `${subnet}.2`];
  ip('link', 'add', link, 'type', 'veth', 'peer', 'name', device, 'netns', space);
  ip('addr', 'add', `${here}/24`, 'dev', link);
  ip('link', 'set', link, 'up');
  inside('addr', 'add', `${there}/24`, 'dev', device);
  inside('link', 'set', device, 'up');
  // packets that go to nobody's hardware address vanish without a word
  const nobody = ['lladdr', '02:00:00:00:00:01', 'nud', 'permanent'];
  return {
    here,
    there,
    /** Drops what goes from here to there, and with `both` the other way too. */
    cut(both) {
      ip('neigh', 'replace', there, 'dev', link, ...nobody);
      if (both) inside('neigh', 'replace', here, 'dev', device, ...nobody);
    },
    mend() {
      ip('neigh', 'flush', 'dev', link, 'nud', 'all');
      inside('neigh', 'flush', 'dev', device, 'nud', 'all');
      for (const neighbors of [
        () => ip('neigh', 'del', there, 'dev', link),
        () => inside('neigh', 'del', here, 'dev', device),
      ])
        try {
          neighbors();
        } catch {
          // it was flushed
        }
    },
  };
}

/** Whether a studio says that it is ready: undefined if it says nothing for some seconds. */
function readiness(url) {
  return new Promise((resolve) => {
    const asked = get(`${url}/ready`, { agent: false, timeout: 5000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('error', () => resolve(undefined));
    asked.on('timeout', () => asked.destroy());
  });
}

/**
 * People who judge like the page: a request that fails is sent again, with the same id. Until `end`, each keeps to one
 * studio. `requests` has when each began, its seconds, its studio and its status.
 */
function people({ project, tokens }, urls) {
  const agent = new Agent({ keepAlive: true });
  const acknowledged = new Set();
  const requests = [];
  let over = false;
  const sent = async (studio, path, token, body) => {
    for (;;) {
      const began = performance.now();
      const note = (status) =>
        requests.push({ at: began, studio, seconds: (performance.now() - began) / 1000, status });
      try {
        const { value } = await post(
          agent,
          `${urls[studio]}/api/projects/${encodeURIComponent(project.name)}/${path}`,
          token,
          body,
        );
        note(200);
        return value;
      } catch (error) {
        const status = Number(/^\d+/.exec(error.message)?.[0] ?? 0);
        note(status);
        if (over || (status >= 400 && status < 429)) throw error;
        await wait(AGAIN);
      }
    }
  };
  const all = tokens.map(async (token, i) => {
    const studio = i % urls.length;
    while (!over) {
      const { assignments } = await sent(studio, 'next', token, { count: 1 });
      const [{ item } = {}] = assignments;
      if (!item) return;
      await wait(Math.random() * THINKING);
      const id = randomUUID();
      await sent(studio, 'judgments', token, { id, item: item.id, judgment: { kind: 'pair', choice: 'tie' } });
      acknowledged.add(id);
    }
  });
  return {
    acknowledged,
    requests,
    async end() {
      over = true;
      await Promise.allSettled(all);
      agent.destroy();
    },
  };
}

/** A fault that lasts for some seconds, and what the studios and the people saw of it. */
async function through({ store, urls, hit }, { begin, mend, seconds }) {
  const judging = people(store, urls);
  await wait(3000);
  const began = performance.now();
  await begin();
  const ready = urls.map(() => ({ unready: undefined, ready: undefined }));
  let mended;
  const look = async () => {
    while (mended === undefined || performance.now() - mended < 60_000) {
      for (const i of hit) {
        const isReady = await readiness(urls[i]);
        const now = performance.now();
        if (!isReady) ready[i].unready ??= (now - began) / 1000;
        if (mended !== undefined && isReady) ready[i].ready ??= (now - mended) / 1000;
      }
      if (mended !== undefined && hit.every((i) => ready[i].ready !== undefined)) return;
      await wait(100);
    }
  };
  const looked = look();
  await wait(1000 * seconds);
  await mend();
  mended = performance.now();
  await looked;
  await wait(5000);
  const before = judging.requests.length;
  await wait(3000);
  const afterwards = judging.requests.slice(before);
  await judging.end();
  const meanwhile = judging.requests.filter(({ at, seconds: took }) => at + 1000 * took > began && at < mended);
  const count = (list, test) => list.filter(test).length;
  // of the studio that took longest; null if one never did
  const longest = (what) => {
    if (hit.length === 0) return undefined;
    const times = hit.map((i) => ready[i][what]);
    return times.every(Boolean) ? Math.max(...times) : null;
  };
  return {
    ...(await damage(store, judging.acknowledged)),
    longest: Math.max(...judging.requests.map(({ seconds }) => seconds)),
    unready: longest('unready'),
    ready: longest('ready'),
    refused: count(judging.requests, ({ status }) => status === 503),
    failed: count(judging.requests, ({ status }) => status !== 200 && status !== 503),
    others: hit.length === 0 ? 0 : count(meanwhile, ({ studio, status }) => !hit.includes(studio) && status === 200),
    othersRefused: count(meanwhile, ({ studio, status }) => !hit.includes(studio) && status !== 200),
    goOn: urls.every((_, i) => afterwards.some(({ studio, status }) => studio === i && status === 200)),
  };
}

const times = (value) => (typeof value === 'number' ? `${value.toFixed(1)} s` : 'never');

const row = (name, found, seconds) => ({
  name,
  value: `${found.lost} of ${found.acknowledged} lost, ${found.twice} twice; longest request ${times(found.longest)}`,
  target: `0, 0; ≤ ${PROMISED} s`,
  note: [
    `${seconds} s; ${found.refused} times 503, ${found.failed} other failures`,
    ...(found.unready === undefined
      ? []
      : [`not ready after ${times(found.unready)}, ready ${times(found.ready)} after the end`]),
    ...(found.others > 0
      ? [`meanwhile through the other studio ${found.others} requests, ${found.othersRefused} failed`]
      : []),
    `${found.goOn ? 'all go on' : 'NOT ALL GO ON'}, end with ${found.exits}`,
  ].join('; '),
  ...found,
});

/** Two studios, each in a namespace with a cable for clients and one for PostgreSQL. */
async function* partitions(kept, only) {
  const spaces = [0, 1].map((i) => `heed-${process.pid}-${i}`);
  const name = 'network partition';
  const made = spaces.map((space) => spawnSync('ip', ['netns', 'add', space]).status === 0);
  if (!made.every(Boolean)) {
    yield { name, value: 'not measured', note: 'no right to make network namespaces' };
    return;
  }
  try {
    const cables = spaces.map((space, i) => ({
      clients: cable(space, `hc${i}-${process.pid}`, `10.213.${70 + i}`, 'clients'),
      database: cable(space, `hd${i}-${process.pid}`, `10.213.${80 + i}`, 'database'),
    }));
    yield* onPostgres(name, (server) => faultsOf(server, { spaces, cables, kept, only }), ['10.213.0.0/16']);
  } finally {
    for (const space of spaces) spawnSync('ip', ['netns', 'del', space]);
  }
}

/** The rows of each fault with studios in these namespaces. */
async function* faultsOf(server, { spaces, cables, kept, only }) {
  const stand = (signal) => server.signal(signal);
  const faults = {
    'network drops both ways': {
      hit: [0],
      begin: () => cables[0].database.cut(true),
      mend: () => cables[0].database.mend(),
      seconds: 45,
    },
    'network drops the responses': {
      hit: [0],
      begin: () => cables[0].database.cut(false),
      mend: () => cables[0].database.mend(),
      seconds: 45,
    },
    'network drops for a moment': {
      hit: [],
      begin: () => cables[0].database.cut(true),
      mend: () => cables[0].database.mend(),
      seconds: 3,
    },
    'PostgreSQL stands still': {
      hit: [0, 1],
      begin: () => stand('SIGSTOP'),
      mend: () => stand('SIGCONT'),
      seconds: 45,
    },
    'PostgreSQL stands still for a moment': {
      hit: [],
      begin: () => stand('SIGSTOP'),
      mend: () => stand('SIGCONT'),
      seconds: 4,
    },
    'PostgreSQL restarts': { hit: [], begin: () => server.restart(), mend() {}, seconds: 1 },
  };
  for (const [name, { hit, ...fault }] of Object.entries(faults)) {
    if (only && !name.includes(only)) continue;
    const found = await kept.result({ fault: name }, async () => {
      const address = new URL(await server.database());
      const store = await fill(address.href, ITEMS, {}, PEOPLE);
      const studios = [];
      for (const [i, space] of spaces.entries()) {
        address.hostname = cables[i].database.here;
        const options = { within: ['ip', 'netns', 'exec', space] };
        studios.push(await opened(['studio', '--store', address.href, '--host', cables[i].clients.there], options));
      }
      const urls = studios.map(({ url }) => url);
      const seen = await through({ store, urls, hit }, fault);
      const exits = (await Promise.all(studios.map((studio) => stop(studio, 30_000)))).join(', ');
      const said = studios.flatMap(({ lines }) => lines.err.split('\n').filter((line) => /rror|bug/.test(line)));
      await store.database.close();
      return {
        ...seen,
        exits,
        said: [...new Set(said.map((line) => line.replace(/^.*?(POST|GET) \S+ /, '')))].slice(0, 8),
      };
    });
    yield row(name, found, fault.seconds);
  }
}

/** A studio on SQLite whose store another process keeps locked. */
async function* locks(kept, only) {
  for (const seconds of [4, 45]) {
    const name = `SQLite locked by another process for ${seconds} s`;
    if (only && !name.includes(only)) continue;
    const found = await kept.result({ fault: name }, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'heed-locks-'));
      try {
        const at = join(folder, 'feedback.db');
        const store = await fill(at, ITEMS, {}, PEOPLE);
        const studio = await opened(['studio', '--store', at]);
        let other;
        const begin = async () => {
          other = await openSqlite(at);
          other.exec('pragma busy_timeout = 10000');
          other.exec('begin immediate');
        };
        const mend = () => {
          other.exec('commit');
          other.close();
        };
        const seen = await through({ store, urls: [studio.url], hit: [] }, { begin, mend, seconds });
        const exits = await stop(studio, 30_000);
        await store.database.close();
        return { ...seen, exits };
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
    yield row(name, found, seconds);
  }
}

/** Each fault of a network, of PostgreSQL and of locks once; `env` names one alone. */
export async function* networks({ env }) {
  const kept = keptResults('trust-networks.jsonl');
  try {
    yield* partitions(kept, env);
    yield* locks(kept, env);
  } finally {
    kept[Symbol.dispose]();
  }
}
