/**
 * The bill of materials of a release, as CycloneDX in JSON: npm run sbom [-- --out FILE]. It has what package-lock.json
 * installs with heed, and the platform packages with ONNX Runtime, which no lockfile has before the release.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writePlatformPackages } from './platform-packages.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({ options: { out: { type: 'string', default: 'release/heed.cdx.json' } } });
const out = resolve(values.out);

const readJson = (name) => JSON.parse(readFileSync(join(root, name), 'utf8'));
const stage = mkdtempSync(join(tmpdir(), 'heed-sbom-'));
try {
  const bill = billOf(join(stage, 'heed'));
  const own = bill.metadata.component;
  const platforms = Object.entries(writePlatformPackages(join(stage, 'platforms'))).map(([name, version]) => ({
    'bom-ref': `${name}@${version}`,
    type: 'library',
    name,
    version,
    scope: 'optional',
    purl: `pkg:npm/${name}@${version}`,
    licenses: [{ license: { id: 'MIT' } }],
    // what is in it, for whoever looks for known weaknesses
    pedigree: {
      ancestors: [{ type: 'library', name: 'onnxruntime', version, purl: `pkg:npm/onnxruntime-node@${version}` }],
    },
  }));
  bill.components.push(...platforms);
  const direct = bill.dependencies.find(({ ref }) => ref === own['bom-ref']);
  direct.dependsOn.push(...platforms.map((component) => component['bom-ref']));
  bill.dependencies.push(...platforms.map((component) => ({ ref: component['bom-ref'], dependsOn: [] })));
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, `${JSON.stringify(bill, null, 2)}\n`);
  console.log(`${bill.components.length} components in ${out}`);
} finally {
  rmSync(stage, { recursive: true, force: true });
}

/** The bill of what the lockfile installs with heed. With `--omit dev`, npm leaves out what development needs as well. */
function billOf(folder) {
  const { devDependencies, scripts, ...manifest } = readJson('package.json');
  const lock = readJson('package-lock.json');
  delete lock.packages[''].devDependencies;
  const installed = Object.entries(lock.packages).filter(([, { dev }]) => !dev);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(
    join(folder, 'package-lock.json'),
    JSON.stringify({ ...lock, packages: Object.fromEntries(installed) }),
  );
  const flags = ['--sbom-format', 'cyclonedx', '--sbom-type', 'library', '--package-lock-only'];
  const { status, stdout, stderr } = spawnSync('npm', ['sbom', ...flags], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`"npm sbom" failed: ${stderr}`);
  return JSON.parse(stdout);
}
