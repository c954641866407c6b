import { expect, it } from 'vitest';
import { DeviceMemoryError } from '../../engine/runtime/device-errors.ts';
import type { HeedError } from '../../error.ts';
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
