/**
 * kill -9 at random moments under load: of the studio, of its PostgreSQL, of trainings. Whatever was acknowledged has to
 * be there, nobody may have judged an item twice, and a training that goes on has to end as one that nobody killed.
 */
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fill, post, serve, support } from '../feedback.js';
import { path } from '../sides.js';

const PEOPLE = 12;
const ITEMS = 20_000;

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
      await post(agent, `${at}/votes`, token, { id, item: item.id, vote: { kind: 'pair', choice: 'tie' } });
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
async function damage({ database, project }, acknowledged) {
  const votes = await database.query
    .selectFrom('votes')
    .select(['id', 'item', 'person'])
    .where('project', '=', project.id)
    .execute();
  const there = new Set(votes.map(({ id }) => id));
  const pairs = new Set(votes.map(({ item, person }) => `${item} ${person}`));
  const byItem = Map.groupBy?.(votes, ({ item }) => item) ?? grouped(votes);
  return {
    acknowledged: acknowledged.size,
    lost: [...acknowledged].filter((id) => !there.has(id)).length,
    twice: votes.length - pairs.size,
    over: [...byItem.values()].filter(({ length }) => length > 2).length,
  };
}

function grouped(votes) {
  const groups = new Map();
  for (const vote of votes) groups.set(vote.item, [...(groups.get(vote.item) ?? []), vote]);
  return groups;
}

const row = (name, kills, { acknowledged, lost, twice, over }) => ({
  name,
  value: `${lost} of ${acknowledged} acknowledged judgments lost, ${twice} twice`,
  target: '0, 0',
  note: `${kills} kills; ${over} items judged by more people than asked for`,
  ...{ kills, acknowledged, lost, twice, over },
});

async function* studio({ kills }) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-kills-'));
  try {
    const at = join(folder, 'feedback.db');
    const store = await fill(at, ITEMS);
    const acknowledged = new Set();
    for (let i = 0; i < kills; i++) {
      const { url, child, ended } = await serve(at);
      const judging = judge(store, url, acknowledged);
      await loaded(acknowledged);
      child.kill('SIGKILL');
      await judging;
      await ended;
    }
    yield row('the studio on SQLite, killed', kills, await damage(store, acknowledged));
    await store.database.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function* postgres({ kills }) {
  const server = await (await support('postgres')).startPostgres();
  if (!server) {
    yield { name: 'PostgreSQL, killed', value: 'not measured', note: 'no PostgreSQL here' };
    return;
  }
  try {
    const address = await server.database();
    const store = await fill(address, ITEMS);
    const acknowledged = new Set();
    let { url, child, ended } = await serve(address);
    let died = 0;
    child.once('exit', () => died++);
    for (let i = 0; i < kills; i++) {
      const judging = judge(store, url, acknowledged);
      await loaded(acknowledged);
      await server.restart();
      await judging;
      if (child.exitCode !== null) ({ url, child, ended } = await serve(address));
    }
    const found = await damage(store, acknowledged);
    yield { ...row('PostgreSQL under the studio, killed', kills, found), died };
    child.kill('SIGTERM');
    await ended;
    await store.database.close();
  } finally {
    await server.stop();
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

function heed(args, cwd) {
  const child = spawn(process.execPath, [path('../bin/heed.js'), ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const out of [child.stdout, child.stderr])
    out.on('data', (text) => {
      said += text;
    });
  const ended = once(child, 'exit').then(([code]) => ({ code, said }));
  return { child, ended, said: () => said };
}

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
  return { hash: hash.digest('hex'), files: weights.length };
}

async function* trainings({ kills }) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-kills-'));
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
      const whole = join(folder, `${command}-whole`);
      const { code, said } = await heed([command, ...flags, '--out', whole], folder).ended;
      if (code !== 0) throw new Error(said);
      const wanted = traceOf(whole);
      let [done, runs, equal] = [0, 0, 0];
      while (done < kills) {
        const out = join(folder, `${command}-${runs++}`);
        let args = [command, ...flags, '--out', out];
        for (let tries = 0; tries < 6 && done < kills; tries++) {
          const { child, ended, said } = heed([...args, '--checkpointSeconds', '0'], folder);
          while (!/ in /.test(said()) && child.exitCode === null) await wait(5);
          await wait(Math.random() * 1200);
          child.kill('SIGKILL');
          if ((await ended).code === null) done++;
          args = [command, '--resume', out];
        }
        const last = await heed([...args, '--checkpointSeconds', '0'], folder).ended;
        if (last.code !== 0) throw new Error(last.said);
        equal += Number(traceOf(out).hash === wanted.hash);
        rmSync(out, { recursive: true });
      }
      yield {
        name: `heed ${command}, killed and resumed`,
        value: `${equal} of ${runs} equal to the uninterrupted one, bit for bit`,
        target: 'all',
        note: `${done} kills; ${wanted.files} files of weights, and the metrics without times`,
        ...{ kills: done, runs, equal },
      };
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Kills of each kind. */
export async function* killed(options) {
  yield* studio(options);
  yield* postgres(options);
  yield* trainings(options);
}
