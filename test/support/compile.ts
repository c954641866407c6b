/** Compiles the package once for the tests that run it as a user does: in a process of its own, as plain JavaScript. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A folder with package.json, bin, dist and node_modules. */
    compiled: string;
  }
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const shipped = ['package.json', 'bin', 'README.md', 'LICENSE', 'CHANGELOG.md'];

export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'heed-compiled-'));
  for (const name of shipped) cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const config = ['-p', join(root, 'tsconfig.build.json'), '--noCheck', '--outDir', join(folder, 'dist')];
  execFileSync(process.execPath, [compiler, ...config], { stdio: 'inherit' });
  project.provide('compiled', folder);
  return () => rmSync(folder, { recursive: true, force: true });
}
