import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { call, ownFolder, start } from './support/heed.ts';
import { type FakeHub, refuse, startHub } from './support/hub.ts';

const TOKEN = 'hf_secret0123';
const COMMIT = 'c'.repeat(40);
const weights = Buffer.alloc(3_000_000, 'weights');
const folder = ownFolder();
let hub: FakeHub;
beforeEach(async () => {
  hub = await startHub();
  hub.repos['models/someone/tiny'] = { commit: COMMIT, files: { 'config.json': '{}', 'model.safetensors': weights } };
});
afterEach(async () => {
  await hub.close();
  rmSync(home(), { recursive: true, force: true });
});

const home = () => join(folder.path, 'home');
const environment = () => ({
  HF_ENDPOINT: hub.endpoint,
  HF_HOME: home(),
  HF_HUB_CACHE: join(home(), 'hub'),
  HF_TOKEN: TOKEN,
});
const run = (...args: string[]) => call(['pull', ...args], folder.path, environment());
const partials = () =>
  existsSync(home())
    ? readdirSync(home(), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.incomplete'))
    : [];
/** The storage sends a part of each file and then nothing. */
const stall = () => {
  hub.fault = (_, response, host) => {
    if (host === 'storage') {
      response.writeHead(200, { 'Content-Length': weights.length }).write(weights.subarray(0, 1_000_000));
    }
    return host === 'storage';
  };
};
const whenPartial = async () => {
  while (!partials().some((name) => (statSync(join(home(), name), { throwIfNoEntry: false })?.size ?? 0) > 1000)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

it('pulls a model and says where it is; --json is one object', async () => {
  const { code, stdout, stderr } = await run('someone/tiny', '--json');
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/someone\/tiny .*100 %/) });
  const result = JSON.parse(stdout);
  expect(result).toEqual({
    folder: join(home(), 'hub', 'models--someone--tiny', 'snapshots', COMMIT),
    revision: 'main',
    commit: COMMIT,
    files: ['config.json', 'model.safetensors'],
    bytes: weights.length + 2,
  });
  expect(readFileSync(join(result.folder, 'model.safetensors')).equals(weights)).toBe(true);
  const again = await run('someone/tiny');
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining(result.folder), stderr: '' });
});

it.each(['SIGINT', 'SIGKILL'] as const)('goes on after %s', async (signal) => {
  stall();
  const { child, end } = start(['pull', 'someone/tiny'], folder.path, environment());
  await whenPartial();
  child.kill(signal);
  const { code, stderr } = await end;
  if (signal === 'SIGINT')
    expect({ code, stderr }).toMatchObject({ code: 130, stderr: expect.stringContaining('kept') });
  expect(partials()).toHaveLength(1);
  hub.fault = undefined;
  expect((await run('someone/tiny')).code).toBe(0);
  expect(hub.seen.at(-1)).toMatchObject({ host: 'storage', range: expect.stringMatching(/^bytes=[1-9]\d*-$/) });
  expect(partials()).toEqual([]);
});

it('takes a dataset, and patterns given more than once', async () => {
  hub.repos['datasets/someone/data'] = {
    commit: COMMIT,
    files: { 'a.csv': 'a', 'b.json': '{}', 'c.png': 'c', 'd.txt': 'd' },
  };
  const { stdout } = await run('someone/data', '--dataset', '--include', '*.csv', '--include', '*.png', '--json');
  expect(JSON.parse(stdout).files).toEqual(['a.csv', 'c.png']);
});

it('a wrong name is bad usage', async () => {
  for (const name of ['tiny', 'a/b@', '../b']) {
    expect(await run(name)).toMatchObject({ code: 2, stderr: expect.stringContaining('OWNER/NAME') });
  }
});

it('a refusal says what to do, and never shows the token', async () => {
  hub.fault = (_, response) => {
    refuse(response, 403, 'GatedRepo');
    return true;
  };
  const { code, stdout, stderr } = await run('someone/tiny', '--verbose');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('Accept the license');
  expect(stderr).not.toContain(TOKEN);
});
