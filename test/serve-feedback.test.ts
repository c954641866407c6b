import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { call, ownFolder, start } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const tiny = smallModel();
const folder = ownFolder();

/** A server, and how to send to it. */
async function serving(...flags: string[]) {
  const server = start(['serve', '--model', `tiny=${tiny}`, '--port', '0', '--json', ...flags], folder.path);
  const [line] = await once(server.child.stdout!, 'data');
  const { url } = JSON.parse(String(line));
  const send = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as { id: string; choices: { message: { content: string } }[] };
  };
  return { ...server, url, send };
}

it('loses no feedback that it has confirmed, although it is killed', async () => {
  const confirmed: string[] = [];
  for (let kill = 0; kill < 2; kill++) {
    const { send, child, end } = await serving();
    const messages = [{ role: 'user', content: 'Hello' }];
    const ids: string[] = [];
    for (let i = 0; i < 6; i++) {
      ids.push(
        (await send('/chat/completions', { model: 'tiny', messages, max_tokens: 4, seed: i, user: `u${i}` })).id,
      );
    }
    const sending = ids.map((id) =>
      send('/feedback', { completion_id: id, edit: `corrected ${id}` }).then(() => confirmed.push(id)),
    );
    await Promise.race(sending);
    child.kill('SIGKILL');
    await Promise.allSettled(sending);
    await end;
  }
  const { code, stdout } = await call(
    ['serve', 'export', 'pairs.json', '--format', 'preference', '--json'],
    folder.path,
  );
  expect([code, JSON.parse(stdout)]).toEqual([0, { file: 'pairs.json', rows: expect.any(Number) }]);
  const text = readFileSync(join(folder.path, 'pairs.json'), 'utf8');
  expect(confirmed.length).toBeGreaterThan(1);
  for (const id of confirmed) expect(text).toContain(`corrected ${id}`);
});

it('trains a version in a process of its own', async () => {
  const policy = {
    judgments: 24,
    heldOut: 0.3,
    training: { steps: 4, batch: 8 },
    gate: { prompts: 4, maxTokens: 4, maxKl: 100 },
  };
  writeFileSync(join(folder.path, 'policy.json'), JSON.stringify(policy));
  const { send, url, child, end } = await serving('--learn', 'policy.json', '--folder', 'learning');
  for (let i = 0; i < 24; i++) {
    const messages = [{ role: 'user', content: `Hello ${i % 3}` }];
    const { id } = await send('/chat/completions', { model: 'tiny', messages, max_tokens: 4, seed: i, user: `u${i}` });
    await send('/feedback', { completion_id: id, rating: i % 2 ? 'good' : 'bad' });
  }
  let versions: { state: string; run: string; gate: { checks: object[] } }[] = [];
  while (versions.length === 0 || versions[0].state === 'training') {
    await new Promise((resolve) => setTimeout(resolve, 50));
    versions = ((await (await fetch(`${url}/versions`)).json()) as { data: typeof versions }).data;
  }
  expect(versions[0].gate.checks.length).toBeGreaterThan(2); // it was trained, and measured
  expect(await call(['report', versions[0].run], folder.path)).toMatchObject({ code: 0 });
  child.kill('SIGTERM');
  expect((await end).code).toBe(0);
});
