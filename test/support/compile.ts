/**
 * Compiles the package, once for all tests that run it in a process of its own, as a user does: Node may know no
 * TypeScript.
 */
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, symlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'vite';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Folder of the compiled package: package.json, bin, dist with the studio's page, and node_modules. */
    compiled: string;
  }
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const shipped = [
  ...['package.json', 'bin', 'course', 'docs', 'examples', 'models'],
  ...['README.md', 'LICENSE', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
];

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'heed-compiled-'));
  for (const name of shipped) cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const compiler = join(root, 'node_modules', '@typescript', 'native', 'bin', 'tsc');
  const config = ['-p', join(root, 'tsconfig.build.json'), '--noCheck', '--outDir', join(folder, 'dist')];
  execFileSync(process.execPath, [compiler, ...config], { stdio: 'inherit' });
  execFileSync(process.execPath, [join(root, 'scripts', 'copy-files.js'), join(folder, 'dist')]);
  const documentOptions = [join(root, 'scripts', 'document-options.js'), join(folder, 'dist')];
  await Promise.all([
    promisify(execFile)(process.execPath, documentOptions),
    build({ root: join(root, 'src', 'studio'), logLevel: 'warn', build: { outDir: join(folder, 'dist', 'studio') } }),
  ]);
  project.provide('compiled', folder);
  // not at once: on a busy machine that takes so long that workers, which have ended by then, seem not to
  return () => rm(folder, { recursive: true, force: true });
}
