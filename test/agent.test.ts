/** What there is to do with an agent that was trained: watch it, evaluate it, export it, train it again. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { call, ownFolder, start } from './support/heed.ts';

const folder = ownFolder();
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const at = (...names: string[]) => join(folder.path, ...names);
const configOf = (run: string) => JSON.parse(readFileSync(at(run, 'config.json'), 'utf8')).config;
const few = ['--episodes', '3', '--evaluations', '1', '--ppo.epochs', '4'];

describe('a short run of heed train', () => {
  it('asks in fewer rounds after fewer random steps than its preset has, and says so', async () => {
    const { code, stdout, stderr } = await call(
      ['train', '--steps', '3000', ...few, '--out', 'short', '--json'],
      folder.path,
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).toContain('randomSteps is 400 instead of 2000');
    expect(lastLine(stdout)).toMatchObject({ labels: 10 });
    expect(configOf('short')).toMatchObject({ randomSteps: 400, schedule: { rounds: 8 } });
  });

  it('names the flags where what was given does not fit', async () => {
    const { code, stderr } = await call(['train', '--steps', '3000', '--schedule.rounds', '2000'], folder.path);
    expect(code).toBe(2);
    expect(stderr).toContain('2000 rounds do not fit');
    expect(stderr).toContain('--schedule.until (0.4 now)');
  });

  it('is trained again from its config.json, with flags over it', async () => {
    const { code, stderr } = await call(
      ['train', '--config', at('short', 'config.json'), '--seed', '4', '--out', 'again'],
      folder.path,
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(configOf('again')).toEqual({ ...configOf('short'), seed: 4 });
    const wrong = await call(['rl', '--config', at('short', 'config.json')], folder.path);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('which rl does not know') });
  });

  it('is evaluated beside the untrained agent', async () => {
    const { code, stdout } = await call(['eval', 'control', 'short', '--episodes', '4', '--json'], folder.path);
    expect(code).toBe(0);
    const figures = { mean: expect.any(Number), std: expect.any(Number), episodes: 4 };
    const expected = { run: 'short', step: 3072, return: figures, untrained: figures };
    expect(lastLine(stdout)).toEqual({ ...expected, heldOutAccuracy: expect.any(Number) });
    const said = await call(['eval', 'control', 'short', '--episodes', '2'], folder.path);
    expect(said.stdout).toMatch(
      /trained .* over 2 greedy episodes\n *untrained .*\n *held-out accuracy .* % of random pairs/,
    );
    expect(await call(['eval', 'control', 'nowhere'], folder.path)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('not a run'),
    });
  });

  it('is watched on a page of its own, which is served where that is asked for', async () => {
    const { code, stdout } = await call(['watch', 'short', '--episodes', '1', '--json'], folder.path);
    expect(code).toBe(0);
    expect(lastLine(stdout)).toEqual({ run: 'short', page: join('short', 'watch.html') });
    const page = readFileSync(at('short', 'watch.html'), 'utf8');
    expect(page).toContain('CartPole-v1 before and after training');
    expect(page).toMatch(/before training: return \d+/);
    expect(page).not.toMatch(/(src|href)="?https?:/);
    const { child, end } = start(['watch', 'short', '--episodes', '1', '--serve'], folder.path);
    let url = '';
    for await (const data of child.stdout!) {
      url = /http:\S+/.exec(String(data))?.[0] ?? '';
      if (url) break;
    }
    expect(await (await fetch(url)).text()).toBe(page);
    expect((await fetch(`${url}config.json`)).status).toBe(404);
    child.kill('SIGINT');
    await end;
  });

  it('is filmed before and after training', async () => {
    const { code, stdout } = await call(['film', 'short', '--width', '60', '--json'], folder.path);
    expect(code).toBe(0);
    const { films } = lastLine(stdout) as { films: { file: string }[] };
    expect(films.map(({ file }) => file)).toEqual([1, 2].map((n) => join('short', `film-${n}.gif`)));
    for (const { file } of films) expect(readFileSync(at(file)).subarray(0, 6).toString()).toBe('GIF89a');
    const webm = ['film', 'short', '--width', '60', '--format', 'webm', '--out'];
    expect(await call([...webm, 'new/films'], folder.path)).toMatchObject({ code: 0 });
    expect(existsSync(at('new/films/film-1.webm'))).toBe(true);
    expect(await call([...webm, 'film.mp4'], folder.path)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--out takes a folder, not the file "film.mp4"\n.*film-1.webm/),
    });
  });

  it('is exported as ONNX, its reward too', async () => {
    const { code, stdout } = await call(['export', 'short', '--json'], folder.path);
    expect(code).toBe(0);
    const files = ['policy.onnx', 'policy.json', 'policy.h', 'reward.onnx'].map((name) => join('short', 'onnx', name));
    expect(lastLine(stdout)).toEqual({ files });
    for (const file of files) expect(existsSync(at(file))).toBe(true);
    expect(await call(['export', 'short', '--format', 'safetensors'], folder.path)).toMatchObject({ code: 2 });
    expect(await call(['export'], folder.path)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('expected a run or --model'),
    });
  });
});
