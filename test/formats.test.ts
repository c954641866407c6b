/** Files of a version to come are refused with a sentence, and stay as they are. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { call, ownFolder } from './support/heed.ts';

const folder = ownFolder();

it('a run of a version to come is refused, and stays as it is', async () => {
  const settings = [
    '--env',
    'CartPole-v1',
    '--steps',
    '512',
    '--ppo.hidden',
    '4',
    '--evaluations',
    '1',
    '--episodes',
    '2',
  ];
  expect(await call(['rl', ...settings, '--out', 'run'], folder.path)).toMatchObject({ code: 0 });
  const config = join(folder.path, 'run', 'config.json');
  writeFileSync(config, readFileSync(config, 'utf8').replace('heed run 1', 'heed run 2'));
  const files = readdirSync(join(folder.path, 'run'), { recursive: true });
  for (const command of [
    ['rl', '--resume', 'run'],
    ['report', 'run'],
  ]) {
    const { code, stderr } = await call(command, folder.path);
    expect(code).toBe(1);
    expect(stderr).toContain('"run" is a run of a newer version of heed: expected the format "heed run 1"');
    expect(stderr).toContain('Update heed');
  }
  expect(readdirSync(join(folder.path, 'run'), { recursive: true })).toEqual(files);
});
