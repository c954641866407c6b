import { readdirSync, readFileSync } from 'node:fs';
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

it('writes GGUF, which is a model wherever one is taken', async () => {
  const { code, stdout } = await run('--model', model('tiny-llama'), '--format', 'gguf', '--out', 'llama', '--json');
  expect({ code, ...JSON.parse(stdout) }).toEqual({
    code: 0,
    folder: 'llama',
    format: 'gguf',
    files: ['model.gguf', 'Modelfile'],
  });
  const gguf = join(folder.path, 'llama/model.gguf');
  expect(readFileSync(join(folder.path, 'llama/Modelfile'), 'utf8')).toMatch(/^FROM \.\/model\.gguf\n/);
  const [before, after] = await Promise.all([model('tiny-llama'), gguf].map((name) => loadModel(name)));
  expect(after.parameters.flat).toEqual(before.parameters.flat);
  expect(after.ends).toEqual(before.ends);
  const written = await call(
    ['generate', '--model', gguf, '--prompt', 'Hi', '--temperature', '0', '--max-tokens', '8'],
    folder.path,
  );
  const expected = await call(
    ['generate', '--model', model('tiny-llama'), '--prompt', 'Hi', '--temperature', '0', '--max-tokens', '8'],
    folder.path,
  );
  expect(written).toEqual(expected);
  expect(await call(['plan', '--model', gguf, '--json'], folder.path)).toMatchObject({ code: 0 });
  const back = await run('--model', gguf, '--format', 'safetensors', '--out', 'back');
  expect(back).toMatchObject({ code: 0 });
  expect((await loadModel(join(folder.path, 'back'))).parameters.flat).toEqual(before.parameters.flat);
});

it('writes an adapter alone as GGUF, and says that its base has to be beside it', async () => {
  const adapter = model('tiny-llama-lora');
  const alone = await run('--adapter', adapter, '--format', 'gguf', '--out', 'alone', '--json');
  expect(alone).toMatchObject({ code: 0, stderr: expect.stringContaining('expects the base model beside it') });
  expect(JSON.parse(alone.stdout).files).toEqual(['adapter.gguf', 'Modelfile']);
  expect(readFileSync(join(folder.path, 'alone/Modelfile'), 'utf8')).toMatch(
    /^FROM \.\/model\.gguf\nADAPTER \.\/adapter\.gguf\n/,
  );
  const used = await run('--model', join(folder.path, 'alone/adapter.gguf'), '--out', 'x');
  expect(used).toMatchObject({ code: 1, stderr: expect.stringContaining('holds an "adapter", not a model') });
  const quantized = await run('--adapter', adapter, '--format', 'gguf', '--dtype', 'Q4_0', '--out', 'x');
  expect(quantized).toMatchObject({ code: 2, stderr: expect.stringContaining('--dtype Q4_0 is for whole models') });
});

it('says what is wrong, and writes nothing', async () => {
  expect(await run('--model', 'nowhere', '--out', 'x')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/nowhere/),
  });
  const both = await run('--model', model('tiny-llama'), '--out', 'x', '--dtype', 'F16');
  expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('--format safetensors') });
  const words = await run('--model', 'reviews-base', '--format', 'gguf', '--out', 'x');
  expect(words).toMatchObject({ code: 1, stderr: expect.stringContaining('GGUF cannot hold this tokenizer') });
  const kind = await run('--model', model('tiny-llama'), '--format', 'safetensors', '--dtype', 'Q8_0', '--out', 'x');
  expect(kind).toMatchObject({ code: 2, stderr: expect.stringContaining('--dtype Q8_0 is for --format gguf') });
  const scores = await run('--model', model('tiny-llama-rm'), '--format', 'gguf', '--out', 'x');
  expect(scores).toMatchObject({ code: 1, stderr: expect.stringContaining('this model is a classifier') });
  expect(readdirSync(folder.path)).not.toContain('x');
});
