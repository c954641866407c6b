import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { deviceSupport } from '../src/engine/device.ts';
import { heed, ownFolder } from './support/heed.ts';

const folder = ownFolder();
const tiny = fileURLToPath(new URL('fixtures/models/tiny-llama', import.meta.url));

it.for(['webgpu', 'cuda'] as const)('%s: commands train there, and end in order', async (device, { skip }) => {
  if (!deviceSupport(device).works) skip('a GPU');
  writeFileSync(join(folder.path, 'texts.jsonl'), '{"text":"the cat sat on the mat"}\n{"text":"a dog ran"}\n');
  const settings = ['--model', tiny, '--data', 'texts.jsonl', '--steps', '2', '--samples.count', '0'];
  for (let i = 0; i < 3; i++) {
    const ended = await heed(['sft', ...settings, '--device', device, '--out', `run-${i}`], folder.path);
    expect(ended.code, ended.stderr).toBe(0);
  }
});
