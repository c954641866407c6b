import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { readDataset } from '../../data/dataset.ts';
import { checkRecipe } from '../../pipeline/recipe.ts';
import { addInit } from './init.ts';
import { kinds, usual } from './starts.ts';

const before = process.cwd();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'heed-init-'));
});
afterEach(() => process.chdir(before));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the command in the test's folder; what it prints. */
async function init(...args: string[]): Promise<string> {
  process.chdir(folder);
  const command = new Command('init').exitOverride().option('--json');
  addInit(command);
  let said = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += text;
    return true;
  });
  try {
    await command.parseAsync(args, { from: 'user' });
  } finally {
    spy.mockRestore();
  }
  return said;
}

it.each(Object.keys(kinds))('for %s it writes a folder, whose recipe is right, and says what to type', async (name) => {
  const said = await init(`my-${name}`, '--for', name);
  const { files, next } = kinds[name].start(usual);
  process.chdir(join(folder, `my-${name}`));
  expect(readdirSync('.').sort()).toEqual(Object.keys(files).sort());
  expect(said).toContain(`cd my-${name}\n`);
  for (const [line] of next) expect(said).toContain(`  ${line} `);
  if (!files['recipe.json']) return;
  // what people have yet to judge is there once the lines before were typed
  if (name === 'preferences') writeFileSync('preferences.jsonl', files['items.jsonl']);
  expect(checkRecipe(JSON.parse(readFileSync('recipe.json', 'utf8'))).stages.length).toBeGreaterThan(0);
});

it('has samples that are datasets, for the model that comes with heed and for others', async () => {
  process.chdir(folder);
  for (const model of [usual.model, 'someone/else']) {
    for (const [name, format] of [
      ['rows', 'prompt-completion'],
      ['preferences', 'preference'],
    ]) {
      const { files } = kinds[name].start({ ...usual, model });
      const [sample, text] = Object.entries(files).find(([file]) => file.endsWith('.jsonl'))!;
      writeFileSync(sample, text);
      let count = 0;
      for await (const row of readDataset(sample, { accept: [format as 'preference'] })) if (row) count++;
      expect(count).toBe(text.trim().split('\n').length);
    }
  }
});

it('has an environment that depends on its seed alone', async () => {
  const path = join(folder, 'point.mjs');
  writeFileSync(path, kinds.environment.start(usual).files['environment.mjs']);
  const environment = (await import(pathToFileURL(path).href)).default();
  const seen = new Float32Array(1);
  const starts = [7, 7, 8].map((seed) => {
    environment.reset(seed, seen);
    return seen[0];
  });
  expect(starts[0]).toBe(starts[1]);
  expect(starts[0]).not.toBe(starts[2]);
  for (let step = 1; step <= 50; step++) expect(environment.step([1], seen).truncated).toBe(step === 50);
});

it('takes a dataset of the reader’s own by its path from the folder', async () => {
  writeFileSync(join(folder, 'mine.jsonl'), '{"prompt":"a","completion":"b"}\n');
  const said = await init('own', '--for', 'rows', '--data', 'mine.jsonl', '--json');
  expect(JSON.parse(said)).toMatchObject({ folder: 'own', for: 'rows', files: ['recipe.json'] });
  const { stages } = JSON.parse(readFileSync(join(folder, 'own', 'recipe.json'), 'utf8'));
  expect(stages[0].settings).toEqual({ model: usual.model, data: '../mine.jsonl', epochs: 3 });
});

it.each([
  ['a folder with something in it', ['full', '--for', 'agent'], '"full" is not empty'],
  ['another kind', ['new', '--for', 'agnet'], 'got "agnet"'],
  ['a flag that the kind does not take', ['new', '--for', 'serve', '--env', 'X'], '--env does not go with --for serve'],
  ['a file that is there', ['full/file', '--for', 'agent'], 'file'],
])('refuses %s, and writes nothing', async (_, args, text) => {
  mkdirSync(join(folder, 'full'), { recursive: true });
  writeFileSync(join(folder, 'full', 'file'), 'kept');
  await expect(init(...args)).rejects.toThrow(text);
  expect(readFileSync(join(folder, 'full', 'file'), 'utf8')).toBe('kept');
  expect(existsSync(join(folder, 'new'))).toBe(false);
});
