/**
 * Makes the tarballs of a release: npm run pack:all [-- --out FOLDER]. They are heed and its platform packages; publish
 * the latter first. heed's package.json gets them as optional dependencies only here: `npm ci` refuses a lockfile that
 * lacks a package of package.json, and they are not on npm before the release. --from FOLDER packs what is compiled there.
 * --repository URL is written into each package.json: npm takes a provenance only if it names the same repository.
 * At the end stands the command that installs heed from the tarballs, which is how to use it before it is on npm.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writePlatformPackages } from './platform-packages.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: { out: { type: 'string', default: 'release' }, from: { type: 'string' }, repository: { type: 'string' } },
});
const out = resolve(values.out);

function npm(args, cwd) {
  const { status } = spawnSync('npm', args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) throw new Error(`"npm ${args.join(' ')}" failed in ${cwd}`);
}

function addRepository(path, url) {
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  const repository = { type: 'git', url: `git+${url}.git` };
  writeFileSync(path, `${JSON.stringify({ ...manifest, repository }, null, 2)}\n`);
}

if (!values.from) {
  rmSync(join(root, 'dist'), { recursive: true, force: true }); // no file of a moved source is published
  npm(['run', '--silent', 'build'], root);
}
/** `npm install` of heed and, where there is one for this machine, its library: npm finds neither by name yet. */
function installCommand({ version }, libraries) {
  const library = `heed-onnxruntime-${process.platform}-${process.arch}`;
  const tarballs = [`heed-${version}.tgz`];
  if (library in libraries) tarballs.push(`${library}-${libraries[library]}.tgz`);
  return `npm install ${tarballs.map((name) => quoted(join(out, name))).join(' ')}`;
}

const quoted = (path) => (/^[\w./:\\-]+$/.test(path) ? path : `"${path}"`);

const from = values.from ?? root;
const stage = mkdtempSync(join(tmpdir(), 'heed-pack-'));
try {
  const platformPackages = writePlatformPackages(stage);
  const { scripts, allowScripts, devDependencies, ...manifest } = JSON.parse(
    readFileSync(join(from, 'package.json'), 'utf8'),
  );
  const optionalDependencies = { ...manifest.optionalDependencies, ...platformPackages };
  const heed = join(stage, 'heed');
  mkdirSync(heed);
  for (const name of manifest.files) {
    if (!name.startsWith('!')) cpSync(join(from, name), join(heed, name), { recursive: true });
  }
  writeFileSync(join(heed, 'package.json'), `${JSON.stringify({ ...manifest, optionalDependencies }, null, 2)}\n`);
  mkdirSync(out, { recursive: true });
  for (const name of readdirSync(stage)) {
    if (values.repository) addRepository(join(stage, name, 'package.json'), values.repository);
    npm(['pack', '--silent', '--pack-destination', out], join(stage, name));
  }
  process.stdout.write(
    `\nTo use heed in a project of your own, type there:\n${installCommand(manifest, platformPackages)}\n`,
  );
} finally {
  rmSync(stage, { recursive: true, force: true });
}
