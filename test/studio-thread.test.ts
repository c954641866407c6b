/** The studio of a training is on a thread of its own: whoever answers waits for no update. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { call, ownFolder } from './support/heed.ts';

const folder = ownFolder();

it('answers while the thread that opened it computes', async () => {
  const module = join(inject('compiled'), 'dist', 'cli', 'people', 'studio-thread.js');
  const script = `
    const { startStudioThread } = await import(${JSON.stringify(module)});
    const { link } = await startStudioThread({ store: 'feedback.db', owner: 'me' }, console.error);
    process.stdout.write(link + '\\n', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  `;
  writeFileSync(join(folder.path, 'busy.mjs'), script);
  const child = spawn(process.execPath, ['busy.mjs'], { cwd: folder.path });
  try {
    const link = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (data) => resolve(String(data).trim()));
      child.stderr.once('data', (data) => reject(new Error(String(data))));
    });
    const [url, token] = link.split('/#token=');
    const session = await fetch(`${url}/api/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: url },
      body: JSON.stringify({ token }),
    });
    expect(await session.json()).toMatchObject({ person: { name: 'me', role: 'owner' } });
  } finally {
    child.kill('SIGKILL');
  }
});

it('says why it cannot be opened', async () => {
  const flags = ['--teacher', 'human', '--store', folder.path, '--out', 'run'];
  const { code, stderr } = await call(['train', ...flags], folder.path);
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be opened') });
});
