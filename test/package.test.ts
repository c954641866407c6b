import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { ownFolder } from './support/heed.ts';

const folder = ownFolder();
// npm test tells its children of the project's own settings, which a stranger's folder does not have
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_(?!config_(cache|registry|cafile))/i.test(name)),
);
const npm = (args: string[], cwd: string) =>
  spawnSync('npm', args, { cwd, env, encoding: 'utf8', shell: process.platform === 'win32' });
const offline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|EIDLETIMEOUT/;

it('the packed package installs without scripts in an empty folder, and trains there', (context) => {
  const packed = npm(['pack', '--ignore-scripts', '--json', '--pack-destination', folder.path], inject('compiled'));
  expect(packed.status, packed.stderr).toBe(0);
  const [{ filename, files }] = JSON.parse(packed.stdout);
  const paths: string[] = files.map(({ path }: { path: string }) => path);
  expect(
    paths.filter((path) => !/^(dist|bin|models)\/|^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(path)),
  ).toEqual([]);
  expect(paths.filter((path) => path.includes('.test.'))).toEqual([]);

  writeFileSync(join(folder.path, 'package.json'), '{"name":"empty","private":true,"type":"module"}');
  const install = ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', `./${filename}`];
  const installed = npm(install, folder.path);
  if (installed.status !== 0 && offline.test(installed.stderr))
    return context.skip('npm has no network and no full cache');
  expect(installed.status, installed.stderr).toBe(0);

  const heed = join(folder.path, 'node_modules', 'heed', 'bin', 'heed.js');
  const flags = ['--steps', '3000', '--randomSteps', '512', '--episodes', '5', '--json'];
  const said = execFileSync(process.execPath, [heed, 'train', ...flags], {
    cwd: folder.path,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  expect(JSON.parse(said)).toMatchObject({ labels: 10, return: { episodes: 5 } });

  const { exports } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const rooms = Object.keys(exports).filter((name) => name !== './package.json');
  const imports = rooms.map((name, i) => `import * as room${i} from '${name.replace('.', 'heed')}';`).join('\n');
  const all = `[${rooms.map((_, i) => `room${i}`)}]`;
  writeFileSync(
    join(folder.path, 'all.js'),
    `${imports}\nif (!${all}.every((r) => Object.keys(r).length > 0)) process.exit(1);`,
  );
  execFileSync(process.execPath, ['all.js'], { cwd: folder.path });

  // types reach a stranger's compiler, and are not `any` there
  const use = `${imports}
import { learnFromPreferences } from 'heed/control';
const training = learnFromPreferences({ env: 'CartPole-v1' });
for await (const { step } of training) step satisfies number;
const { policy } = await training;
policy.act([0, 0, 0, 0]) satisfies number | number[];
// @ts-expect-error
learnFromPreferences({ labels: 'many' });
export { ${rooms.map((_, i) => `room${i}`).join(', ')} };`;
  writeFileSync(join(folder.path, 'use.ts'), use);
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const types = ['--typeRoots', join(process.cwd(), 'node_modules', '@types'), '--types', 'node'];
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--lib', 'es2023', ...types];
  const checked = spawnSync(process.execPath, [compiler, ...options, 'use.ts'], { cwd: folder.path, encoding: 'utf8' });
  expect(checked.stdout).toBe('');
  expect(checked.status).toBe(0);
});
