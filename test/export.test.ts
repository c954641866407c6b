import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadModel } from '../src/lm/model.ts';
import { call, ownFolder } from './support/heed.ts';

const folder = ownFolder();
const model = (name: string) => fileURLToPath(new URL(`./fixtures/models/${name}`, import.meta.url));
const run = (...args: string[]) => call(['export', ...args], folder.path);

it('writes an ONNX graph with its tokenizer', async () => {
  const { code, stdout } = await run('--model', model('tiny-llama'), '--out', 'onnx', '--json');
  expect(code).toBe(0);
  const { files, ...result } = JSON.parse(stdout);
  expect(result).toEqual({ folder: 'onnx', format: 'onnx' });
  expect(files.sort()).toEqual(readdirSync(join(folder.path, 'onnx')).sort());
  expect(files).toContain('model.onnx');
});

it('merges an adapter, given by itself or beside its base', async () => {
  const options = ['--format', 'safetensors', '--out'];
  const beside = ['--model', model('tiny-llama'), '--adapter', model('tiny-llama-lora')];
  expect(await run(...beside, ...options, 'a')).toMatchObject({ code: 0 });
  const { code, stdout } = await run('--model', model('tiny-llama-lora'), ...options, 'b', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout).files.sort()).toEqual(readdirSync(join(folder.path, 'b')).sort());
  const [a, b] = await Promise.all(['a', 'b'].map((name) => loadModel(join(folder.path, name))));
  expect(a.parameters.flat).toEqual(b.parameters.flat);
});

it('says what is wrong, and writes nothing', async () => {
  expect(await run('--model', 'nowhere', '--out', 'x')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/nowhere/),
  });
  const both = await run('--model', model('tiny-llama'), '--out', 'x', '--dtype', 'F16');
  expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('--format safetensors') });
  expect(existsSync(join(folder.path, 'x'))).toBe(false);
});
