import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { DeviceMemoryError } from '../../engine/runtime/device-errors.ts';
import type { HeedError } from '../../error.ts';
import { driveRun } from '../../run/drive.ts';
import { createRun } from '../../run/run.ts';
import { withWhatFits } from './too-large.ts';

it('names the flags that would fit, and leaves other errors as they are', () => {
  const options = { rows: 8, length: 512, checkpointLayers: false, lora: { rank: 0 }, seed: 3 };
  const { message, hint } = withWhatFits(new DeviceMemoryError('too little'), options, 'runs/x') as HeedError;
  expect(message).toBe('too little');
  expect(hint).toBe(
    'Start again with --rows 4 (now 8), or --length 256 (now 512), or --checkpoint-layers, or --lora.rank 16. ' +
      'The last checkpoint in runs/x is intact.',
  );
  const other = new Error('other');
  expect(withWhatFits(other, options, 'runs/x')).toBe(other);
});

it('knows the lack of memory that ended a run', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heed-too-large-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const run = createRun(join(folder, 'run'), { name: 'run', command: 'dpo', config: {}, seed: 0 });
  const learner = {
    next: () => Promise.reject(new DeviceMemoryError('the device has too little memory', { hint: 'take less' })),
    save: () => ({ state: {}, tensors: {} }),
    restore() {},
  };
  const driven = driveRun(learner, { run, before: () => ({}), record: () => ({}), result: () => ({ run: 'run' }) });
  const error = await driven.catch((error: unknown) => error);
  expect(error).toBeInstanceOf(DeviceMemoryError);
  const { message, hint } = withWhatFits(error, { part: 32 }, 'runs/x') as HeedError;
  expect(message).toBe('The run stopped in the batch after step 0: the device has too little memory');
  expect(hint).toBe('Start again with --part 16 (now 32). The last checkpoint in runs/x is intact.');
});
