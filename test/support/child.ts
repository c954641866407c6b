/** Runs scripts on the compiled package in plain Node, for what needs a process of its own. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inject } from 'vitest';

const modules = {
  engine: 'engine/index.js',
  program: 'engine/program.js',
  library: 'engine/library.js',
  native: 'engine/runtime/native.js',
  nn: 'nn/index.js',
  random: 'random.js',
};

const LONGEST = 120_000; // ms

/**
 * Runs a module, to which the modules above are known by their names; gives what it printed.
 * @throws Error if it ends with another code than 0, or not at all.
 */
export function runChild(
  script: string,
  { flags = [], env = {} }: { flags?: string[]; env?: Record<string, string> } = {},
): string {
  const imports = Object.entries(modules)
    .map(([name, path]) => `import * as ${name} from '${pathToFileURL(join(inject('compiled'), 'dist', path))}';\n`)
    .join('');
  const child = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', imports + script], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    timeout: LONGEST,
    killSignal: 'SIGKILL',
  });
  if (child.status !== 0) throw new Error(`the child ended with ${child.status ?? child.signal}:\n${child.stderr}`);
  return child.stdout;
}
