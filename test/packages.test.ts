/** What `npm ci` prints in a clone: nothing on any npm that comes with a Node that heed supports. What bundlers may leave out. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const read = (name: string) => JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8'));
const { allowScripts, engines } = read('package.json') as {
  allowScripts: Record<string, boolean>;
  engines: { node: string };
};
const { packages } = read('package-lock.json') as {
  packages: Record<string, { engines?: { node?: string }; hasInstallScript?: true; optional?: true }>;
};
const names = Object.keys(packages).filter((path) => path !== '');
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** Whether a range has a version, such as 20.19: one of its alternatives begins no later, and has that major version. */
function accepts(range: string, [major, minor]: readonly number[]): boolean {
  return range.split('||').some((alternative) => {
    const [, sign, ...from] = /(\^|>=)?\s*(\d+)(?:\.(\d+))?/.exec(alternative)!;
    const [first, second] = from.map((part) => Number(part ?? 0));
    if (first === major) return second <= minor;
    return sign === '>=' && first < major;
  });
}

describe('npm ci', () => {
  it('installs nothing that refuses the oldest Node that heed supports', () => {
    const oldest = engines.node.match(/\d+/g)!.map(Number);
    expect(accepts('^18 || >=20.20', oldest) || accepts('>=22.0.0', oldest)).toBe(false);
    const refusing = names.filter((path) => {
      const { engines, optional } = packages[path];
      return !optional && engines?.node && !accepts(engines.node, oldest);
    });
    expect(refusing).toEqual([]);
  });

  // npm from 11.16 on reads allowScripts. It says which packages are missing there, and runs their scripts.
  it('runs no install script', () => {
    const withScripts = names.filter((path) => packages[path].hasInstallScript).map(nameOf);
    expect(withScripts.filter((name) => allowScripts[name] !== false)).toEqual([]);
  });

  // Older ones know of scripts from hasInstallScript in package-lock.json alone. This script downloads CUDA's libraries,
  // which heed does not use. Its own setting in .npmrc would make newer npms warn.
  it('does not run the script of onnxruntime-node on any npm', () => {
    expect(
      packages['node_modules/onnxruntime-node'].hasInstallScript,
      'npm has written "hasInstallScript" for onnxruntime-node: delete this line of package-lock.json again',
    ).toBeUndefined();
    expect(allowScripts['onnxruntime-node']).toBe(false);
  });

  it('reads a setting in .npmrc that every npm knows, and no other', () => {
    expect(readFileSync(new URL('../.npmrc', import.meta.url), 'utf8')).toBe('save-exact=true\n');
  });
});

it('tells bundlers of every module that another imports only for what it does', () => {
  const folder = fileURLToPath(new URL('../src', import.meta.url));
  const { sideEffects } = read('package.json') as { sideEffects: string[] };
  const kept = sideEffects.map((glob) => glob.replace(/^\*\*\/|\*/g, ''));
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tsx?$/.test(name));
  const imported = files.flatMap((name) =>
    [...readFileSync(join(folder, name), 'utf8').matchAll(/^import '(\.[^']+)';$/gm)].map(([, path]) =>
      join(dirname(name), path).replaceAll('\\', '/'),
    ),
  );
  expect(imported).toContain('serve/agents/register.ts');
  expect(imported.filter((path) => !kept.some((part) => path.includes(part)))).toEqual([]);
});
