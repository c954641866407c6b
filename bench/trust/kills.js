/**
 * kill -9 at random moments under load: of the studio, of its PostgreSQL, of trainings. Whatever was acknowledged has to
 * be there, nobody may have judged an item twice, and a training that goes on has to end as one that nobody killed.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fill, post, support } from '../feedback.js';
import { keptResults } from '../kept.js';
import { path } from '../sides.js';
import { opened, start, startEarly, stop } from './programs.js';

const PEOPLE = 12;
const ITEMS = 4000;

/** People who judge until the studio or its database is gone; `acknowledged` gets what had its 200. */
function judge({ project, tokens }, url, acknowledged) {
  const agent = new Agent({ keepAlive: true });
  const at = `${url}/api/projects/${encodeURIComponent(project.name)}`;
  const people = tokens.slice(0, PEOPLE).map(async (token) => {
    for (;;) {
      const { value } = await post(agent, `${at}/next`, token, { count: 1 });
      const [{ item } = {}] = value.assignments;
      if (!item) return;
      const id = randomUUID();
      await post(agent, `${at}/judgments`, token, { id, item: item.id, judgment: { kind: 'pair', choice: 'tie' } });
      acknowledged.add(id);
    }
  });
  return Promise.allSettled(people).finally(() => agent.destroy());
}

/** A random moment after people have begun to judge. */
async function loaded(acknowledged) {
  const before = acknowledged.size;
  for (let waited = 0; acknowledged.size === before && waited < 1000; waited++) await wait(10);
  await wait(Math.random() * 700);
}

/** What of the acknowledged judgments is gone, and what is there twice. */
export async function damage({ database, project }, acknowledged) {
  const judgments = await database.query
    .selectFrom('judgments')
    .select(['id', 'item', 'person', 'kind'])
    .where('project', '=', project.id)
    .execute();
  const there = new Set(judgments.map(({ id }) => id));
  // judgments that stand: what was undone counts no more
  const standing = new Map();
  for (const { item, person, kind } of judgments) {
    const people = standing.get(item) ?? new Map();
    standing.set(item, people.set(person, (people.get(person) ?? 0) + (kind === 'undo' ? -1 : 1)));
  }
  const counts = [...standing.values()].map((people) => [...people.values()].filter((count) => count > 0));
  return {
    acknowledged: acknowledged.size,
    lost: [...acknowledged].filter((id) => !there.has(id)).length,
    twice: counts.flat().filter((count) => count > 1).length,
    over: counts.filter(({ length }) => length > 2).length,
  };
}

const row = (name, { kills, acknowledged, lost, twice, over, ...other }, note = '') => ({
  name,
  value: `${lost} of ${acknowledged} acknowledged judgments lost, ${twice} twice`,
  target: '0, 0',
  note: `${kills} kills; ${over} items judged by more people than asked for${note}`,
  kills,
  acknowledged,
  lost,
  twice,
  over,
  ...other,
});

/** Kills of one round. With HEED_BENCH_FOLDER, a bench that was stopped goes on with the next round. */
const ROUND = 10;

/** Runs rounds of kills of a kind, or what is left of them, and adds up what they found. */
async function inRounds(kept, what, kills, run) {
  const total = {};
  for (let from = 0; from < kills; from += ROUND) {
    const count = Math.min(ROUND, kills - from);
    const {
      what: _,
      round,
      ...found
    } = await kept.result({ what, round: from / ROUND, kills: count }, () => run(count));
    for (const [name, value] of Object.entries(found)) total[name] = (total[name] ?? 0) + value;
  }
  return total;
}

async function* studio({ kills }, kept) {
  const total = await inRounds(kept, 'studio', kills, async (count) => {
    const folder = mkdtempSync(join(tmpdir(), 'heed-kills-'));
    const next = startEarly(['feedback']);
    try {
      const at = join(folder, 'feedback.db');
      const store = await fill(at, ITEMS, {}, PEOPLE);
      const acknowledged = new Set();
      for (let i = 0; i < count; i++) {
        const { url, child, ended } = await next.begin(['studio', '--store', at], i + 1 < count);
        const judging = judge(store, url, acknowledged);
        await loaded(acknowledged);
        child.kill('SIGKILL');
        await judging;
        await ended;
      }
      const found = await damage(store, acknowledged);
      await store.database.close();
      return found;
    } finally {
      next.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
  yield row('the studio on SQLite, killed', total);
}

async function* postgres({ kills }, kept) {
  let server;
  const begin = async () => {
    server ??= await (await support('postgres')).startPostgres();
    return server;
  };
  try {
    const total = await inRounds(kept, 'postgres', kills, async (count) => {
      if (!(await begin())) return {};
      const address = await server.database();
      const store = await fill(address, ITEMS, {}, PEOPLE);
      const acknowledged = new Set();
      let studio = await opened(['studio', '--store', address]);
      let died = 0;
      for (let i = 0; i < count; i++) {
        const judging = judge(store, studio.url, acknowledged);
        await loaded(acknowledged);
        await server.restart();
        await judging;
        if (studio.child.exitCode !== null) {
          died++;
          studio = await opened(['studio', '--store', address]);
        }
      }
      const found = await damage(store, acknowledged);
      await stop(studio);
      await store.database.close();
      return { ...found, died };
    });
    const name = 'PostgreSQL under the studio, killed';
    if (total.acknowledged === undefined) yield { name, value: 'not measured', note: 'no PostgreSQL here' };
    else yield row(name, total, `; the studio ended ${total.died} times`);
  } finally {
    await server?.stop();
  }
}

const TINY = path('../test/fixtures/models/tiny-llama');
/** Small trainings of three kinds, by their flags. */
const TRAININGS = {
  train: [
    ...['--env', 'CartPole-v1', '--steps', '8000', '--randomSteps', '600', '--labels', '12', '--evaluations', '2'],
    ...[
      '--episodes',
      '2',
      '--ppo.epochs',
      '2',
      '--reward.firstSteps',
      '20',
      '--reward.steps',
      '10',
      '--teacher',
      'mistake:0.2',
    ],
  ],
  sft: [
    '--model',
    TINY,
    '--data',
    'texts.jsonl',
    '--rows',
    '4',
    '--steps',
    '40',
    '--evaluations',
    '2',
    '--samples.maxTokens',
    '4',
  ],
  ppo: [
    ...['--model', TINY, '--data', 'prompts.jsonl', '--reward', 'reward.mjs', '--steps', '20', '--evaluations', '2'],
    ...['--batch', '4', '--maxTokens', '4', '--ppo.minibatch', '2', '--score.normalize', 'running'],
  ],
};

/** What a run ends with: its model, the tensors of its last checkpoint, and its metrics without the time of day. */
function traceOf(run) {
  const hash = createHash('sha256');
  const last = readdirSync(join(run, 'checkpoints')).sort().at(-1);
  const weights = readdirSync(run, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.safetensors'))
    .filter((name) => !name.startsWith('checkpoints') || name.includes(last));
  for (const name of weights.sort()) hash.update(name).update(readFileSync(join(run, name)));
  for (const line of readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n')) {
    hash.update(JSON.stringify({ ...JSON.parse(line), time: 0 }));
  }
  return { hash: hash.digest('hex') };
}

async function* trainings({ kills }, kept) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-kills-'));
  const next = startEarly(['align', 'control']);
  try {
    const texts = Array.from({ length: 60 }, (_, i) => `${JSON.stringify({ text: `the number ${i} is ${i % 3}` })}\n`);
    writeFileSync(join(folder, 'texts.jsonl'), texts.join(''));
    writeFileSync(
      join(folder, 'prompts.jsonl'),
      ['red', 'a blue', 'sun'].map((prompt) => JSON.stringify({ prompt })).join('\n'),
    );
    writeFileSync(
      join(folder, 'reward.mjs'),
      'export default (answers) => answers.map(({ response }) => response[0] / 256);\n',
    );
    for (const [command, flags] of Object.entries(TRAININGS)) {
      let wanted;
      const ended = async (args) => {
        const { lines, ended } = start(args, { cwd: folder });
        if ((await ended) !== 0) throw new Error(lines.err);
      };
      const total = await inRounds(kept, command, kills, async (count) => {
        const whole = join(folder, `${command}-whole`);
        if (!wanted) await ended([command, ...flags, '--out', whole]);
        wanted ??= traceOf(whole);
        let [done, runs, equal] = [0, 0, 0];
        while (done < count) {
          const out = join(folder, `${command}-${runs++}`);
          let args = [command, ...flags, '--out', out];
          for (let tries = 0; tries < ROUND && done < count; tries++) {
            const { child, ended, lines } = next.run([...args, '--checkpointSeconds', '0'], folder);
            while (!/ in /.test(lines.err + lines.out) && child.exitCode === null) await wait(5);
            await wait(Math.random() * 1200);
            child.kill('SIGKILL');
            if ((await ended) === null) done++;
            args = [command, '--resume', out];
          }
          await ended([...args, '--checkpointSeconds', '0']);
          equal += Number(traceOf(out).hash === wanted.hash);
          rmSync(out, { recursive: true });
        }
        return { killed: done, runs, equal };
      });
      yield {
        name: `heed ${command}, killed and resumed`,
        value: `${total.equal} of ${total.runs} equal to the uninterrupted one, bit for bit`,
        target: 'all',
        note: `${total.killed} kills; weights, and the metrics without times`,
        ...total,
      };
    }
  } finally {
    next.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Kills of each kind. */
export async function* killed(options) {
  const kept = keptResults('trust-kills.jsonl');
  try {
    yield* studio(options, kept);
    yield* postgres(options, kept);
    yield* trainings(options, kept);
  } finally {
    kept[Symbol.dispose]();
  }
}
