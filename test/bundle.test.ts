/** heed in a bundle: it builds although optional packages are absent, trains, and says which of its files are missing. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'vite';
import { expect, it } from 'vitest';
import { ownFolder } from './support/heed.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = ownFolder();
// below node_modules: koffi is found from where the bundle lies
const outDir = join(root, 'node_modules', '.cache', 'heed-bundle');

const PROGRAM = `
import { dpo } from '${root}src/align/index.ts';
import { loadModel } from '${root}src/lm/index.ts';
import { createClient } from '${root}src/feedback/index.ts';
import { serve } from '${root}src/serve/index.ts';

const { message, hint } = await loadModel().catch((error) => error);
const model = await loadModel('${root}models/reviews-base');
const data = [{ prompt: 'the gravy was', chosen: ' brilliant .', rejected: ' filthy .' }];
const { steps } = await dpo({ model, data, steps: 1 });
console.log(JSON.stringify({ message, hint, steps, kinds: [typeof createClient, typeof serve] }));
`;

it('a bundle trains, and names the file that it lacks', async () => {
  const entry = join(folder.path, 'program.mjs');
  mkdirSync(folder.path, { recursive: true });
  writeFileSync(entry, PROGRAM);
  const warnings: string[] = [];
  await build({
    root,
    configFile: false,
    logLevel: 'silent',
    ssr: { noExternal: true, external: ['koffi'] },
    build: {
      ssr: entry,
      outDir,
      emptyOutDir: true,
      rolldownOptions: { onwarn: ({ message }) => void warnings.push(message) },
    },
  });
  expect(warnings.filter((warning) => /resolve/i.test(warning))).toEqual([]);
  const { stdout } = await promisify(execFile)(process.execPath, [join(outDir, 'program.js')]);
  expect(JSON.parse(stdout)).toEqual({
    message: 'heed is part of a bundle, which lacks its file "models/reviews-base"',
    hint: expect.stringContaining('use-a-bundler.md'),
    steps: 1,
    kinds: ['function', 'function'],
  });
}, 300_000);
