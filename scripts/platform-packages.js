/**
 * ONNX Runtime's shared library as one npm package for each platform: `npm install heed` then downloads the one library
 * that fits, runs no script, and needs no host but the registry. Each package holds the file that onnxruntime-node
 * ships, unchanged, with ONNX Runtime's license and notices, which onnxruntime-node lacks: those in `onnxruntime/` are
 * from the Python wheel of the same version. `npm run pack:all` packs them.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `library` is a file of onnxruntime-node/bin/napi-v6/<os>/<cpu>. DirectML and Dawn's compilers stay there. */
export const platforms = [
  { os: 'linux', cpu: 'x64', libc: 'glibc', library: 'libonnxruntime.so.1' },
  { os: 'linux', cpu: 'arm64', libc: 'glibc', library: 'libonnxruntime.so.1' },
  { os: 'darwin', cpu: 'arm64', library: 'libonnxruntime.1.dylib' },
  { os: 'win32', cpu: 'x64', library: 'onnxruntime.dll' },
];

const root = fileURLToPath(new URL('..', import.meta.url));
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** Writes the packages as folders in `out`. Returns the optional dependencies: each name with its version. */
export function writePlatformPackages(out) {
  const source = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  const { version } = readJson(source);
  const pinned = readJson(join(root, 'package.json')).devDependencies['onnxruntime-node'];
  if (version !== pinned) {
    throw new Error(`onnxruntime-node ${version} is installed, and package.json pins ${pinned}: run "npm ci"`);
  }
  const dependencies = {};
  for (const { os, cpu, libc, library } of platforms) {
    const name = `heed-onnxruntime-${os}-${cpu}`;
    const folder = join(out, name);
    mkdirSync(folder, { recursive: true });
    cpSync(join(dirname(source), 'bin', 'napi-v6', os, cpu, library), join(folder, library));
    cpSync(join(root, 'scripts', 'onnxruntime'), folder, { recursive: true });
    writeFileSync(
      join(folder, 'README.md'),
      `# ${name}\n\n\`${library}\` of [ONNX Runtime](https://github.com/microsoft/onnxruntime) ${version} for ${os}-${cpu}, ` +
        `unchanged from the npm package\n\`onnxruntime-node@${version}\`. The package heed installs and loads it.\n`,
    );
    const manifest = {
      name,
      version,
      description: `ONNX Runtime's shared library for ${os}-${cpu}, as heed loads it`,
      license: 'MIT',
      homepage: 'https://github.com/microsoft/onnxruntime',
      os: [os],
      cpu: [cpu],
      ...(libc && { libc: [libc] }),
      main: library,
      preferUnplugged: true,
    };
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    dependencies[name] = version;
  }
  return dependencies;
}
