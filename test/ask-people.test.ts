/** A policy is trained while somebody compares its completions over HTTP, and prefers those with more letters. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../src/feedback/index.ts';
import { call, ownFolder, type Running, rowsOf, start, traceOf } from './support/heed.ts';
import { ownStores } from './support/stores.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const { kinds, skipWhereMissing } = await ownStores();
const [model, reward] = [smallModel(), smallModel('tiny-llama-rm')];
const small = ['--steps', '3', '--batch', '2', '--max-tokens', '12', '--evaluations', '1', '--evaluation.count', '2'];
const asking = ['--ask-people', '--people.labels', '4', '--config', 'people.json'];
const data = ['--data', 'prompts.jsonl', '--evaluation.data', 'prompts.jsonl'];
const training = ['--model', model, '--reward', reward, ...data, ...small, ...asking, '--ppo.minibatch', '2'];

beforeAll(() => {
  const rows = ['red', 'a blue', 'sun', 'the moon'].map((prompt) => JSON.stringify({ prompt }));
  writeFileSync(join(folder.path, 'prompts.jsonl'), rows.join('\n'));
  writePeople('people.json');
  writePeople('at-once.json', { atOnce: 1 });
});

function writePeople(name: string, more = {}): void {
  const people = { candidates: 2, schedule: { until: 0.5 }, ...more };
  writeFileSync(join(folder.path, name), JSON.stringify({ people }));
}

/** Signs in by the link that the training prints, as the page does, and is given a token for scripts. */
async function sitDown({ says, stderr }: Running) {
  await says('#token=');
  const [, url, token] = /(http:\S+)\/#token=([\w-]+)\/teach\//.exec(stderr())!;
  const headers = { 'content-type': 'application/json', origin: url };
  const body = JSON.stringify({ token });
  const session = await fetch(`${url}/api/session`, { method: 'POST', headers, body });
  const { csrf } = (await session.json()) as { csrf: string };
  const cookie = session.headers.getSetCookie()[0].split(';')[0];
  const [{ name: project }] = (await (await fetch(`${url}/api/projects`, { headers: { cookie } })).json()) as {
    name: string;
  }[];
  const made = await fetch(`${url}/api/people`, {
    method: 'POST',
    headers: { ...headers, cookie, 'x-heed-csrf': csrf },
    body: JSON.stringify({ name: `script ${token}`.slice(0, 20), role: 'annotator', projects: [project] }),
  });
  const person = (await made.json()) as { token: string };
  return createClient({ url, token: person.token });
}

const letters = (text: string) => text.replaceAll(/\P{L}/gu, '').length;

/** Prefers what has more letters, until the training is over or so much is said. */
async function compare(running: Running, most = Number.POSITIVE_INFINITY): Promise<number> {
  const studio = await sitDown(running);
  const [{ name }] = await studio.projects();
  for (let said = 0; running.child.exitCode === null && said < most; ) {
    const next = await studio.next(name, 1).catch(() => []);
    if (next.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    for (const { item } of next) {
      const [first, second] = item.content.options.map((option) => letters((option as { text: string }).text));
      const choice = first === second ? 'tie' : first > second ? 'first' : 'second';
      await studio.judge(name, { id: crypto.randomUUID(), item: item.id, judgment: { kind: 'pair', choice } });
      if (++said === most) return said;
    }
  }
  return most;
}

describe.each(kinds)('with a store in %s', (kind, address) => {
  skipWhereMissing(kind);
  it('a policy learns from what people say meanwhile', async () => {
    const run = join(folder.path, kind);
    const store = ['--store', await address(), '--people.ahead', '0', '--config', 'at-once.json'];
    const running = start(['ppo', ...training, ...store, '--out', run, '--json'], folder.path);
    await compare(running);
    const { code, stderr } = await running.end;
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const rows = rowsOf(run);
    expect(rows.map(({ labels }) => labels)).toEqual([undefined, 0, 2, 4]);
    expect(rows.at(-1)).toMatchObject({ waiting: 0, 'reward/loss': expect.any(Number) });
    const said = readFileSync(join(run, 'samples.jsonl'), 'utf8')
      .split('\n')
      .filter((row) => row.includes('"comparison"'));
    expect(said).toHaveLength(4);
    const [before, after] = [reward, join(run, 'reward')].map((model) =>
      readFileSync(join(model, 'model.safetensors')).toString('base64'),
    );
    expect(after === before).toBe(false);
  });
});

describe('heed ppo --ask-people', () => {
  it('stopped by Ctrl-C while questions wait, goes on tomorrow as if it had not been', async () => {
    const whole = join(folder.path, 'whole');
    const flags = [...training, '--people.ahead', '0'];
    const first = start(['ppo', ...flags, '--out', whole], folder.path);
    await compare(first);
    expect(await first.end).toMatchObject({ code: 0 });

    const parts = join(folder.path, 'parts');
    const stopped = start(['ppo', ...flags, '--out', parts, '--checkpoint-seconds', '0'], folder.path);
    expect(await compare(stopped, 3)).toBe(3);
    stopped.child.kill('SIGINT');
    const { code, stderr } = await stopped.end;
    expect({ code, stderr }).toMatchObject({
      code: 130,
      stderr: expect.stringContaining(`heed ppo --resume ${parts}`),
    });
    const again = start(['ppo', '--resume', parts], folder.path);
    await compare(again);
    expect(await again.end).toMatchObject({ code: 0 });
    expect(traceOf(parts)).toEqual(traceOf(whole));
  });

  it('says what it needs', async () => {
    const { code, stderr } = await call(['ppo', '--model', model, '--ask-people', '--steps', '1'], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('heed reward') });
    const help = await call(['grpo', '--help'], folder.path);
    expect(help.stdout).toContain('--ask-people');
  });
});
