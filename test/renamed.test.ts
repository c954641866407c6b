/** Flags, settings and runs of version 0.1, whose names were spelled otherwise, still work. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { call, ownFolder } from './support/heed.ts';

const folder = ownFolder();

it('old names are taken as flags, as settings, and from the config of a stored run', async () => {
  const small = ['--env', 'CartPole-v1', '--steps', '512', '--out', 'run'];
  const first = await call(['rl', ...small, '--ppo.normaliseAdvantages', 'false'], folder.path);
  expect(first.code).toBe(0);
  expect(first.stderr).toContain('--ppo.normaliseAdvantages is called --ppo.normalize-advantages now');
  const path = join(folder.path, 'run', 'config.json');
  const written = readFileSync(path, 'utf8');
  expect(JSON.parse(written).config.ppo.normalizeAdvantages).toBe(false);

  writeFileSync(path, written.replaceAll('normaliz', 'normalis'));
  expect(await call(['rl', '--resume', 'run'], folder.path)).toMatchObject({ code: 0 });

  writeFileSync(join(folder.path, 'mine.json'), '{"ppo":{"normaliseAdvantages":"no"}}');
  const wrong = await call(['rl', '--config', 'mine.json'], folder.path);
  expect(wrong).toMatchObject({ code: 2 });
  expect(wrong.stderr).toContain('--ppo.normalize-advantages');
});
