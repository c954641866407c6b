import { afterEach, describe, expect, it } from 'vitest';
import { checkpointOf, fixtureModel, ownData, take } from '../../../test/support/training.ts';
import { deviceSupport, useDevice } from '../../engine/device.ts';
import { type DeviceTraffic, deviceTraffic } from '../../engine/runtime/device-memory.ts';
import { createSft, type SftInput } from './sft.ts';

const { dataOf } = ownData();
const rows = [{ text: 'the cat sat on the mat' }, { text: 'a dog ran' }, { text: 'the sun is red' }];

const settings: SftInput = {
  model: fixtureModel('tiny-llama'),
  data: dataOf(rows),
  rows: 2,
  length: 16,
  steps: 8,
  evaluations: 0,
  samples: { count: 0 },
};

afterEach(() => void useDevice('cpu'));

const since = (before: DeviceTraffic) => {
  const now = deviceTraffic();
  return { in: now.toDevice - before.toDevice, out: now.fromDevice - before.fromDevice };
};

describe.each(['webgpu', 'cuda'] as const)('%s', (name) => {
  it.skipIf(!deviceSupport(name).works)(
    'keeps weights and moments there, learns as the CPU does, and resumes from a checkpoint (needs a GPU)',
    async () => {
      const onCpu = await createSft(settings);
      const expected = (await take(onCpu, 4)).map(({ loss }) => loss!);
      onCpu[Symbol.dispose]();

      useDevice(name);
      const learner = await createSft(settings);
      const losses = (await take(learner, 2)).map(({ loss }) => loss!);
      const saved = checkpointOf(learner);
      const before = deviceTraffic();
      const [{ loss }] = await take(learner, 1);
      expect(since(before).in).toBeGreaterThan(4 * learner.model.parameters.length); // they were read, and may have changed
      const between = deviceTraffic();
      const [last] = await take(learner, 1);
      // 2 rows of 16 tokens, labels and weights in; the loss and the norm of the gradients out
      expect(since(between).in).toBeLessThan(1000);
      expect(since(between).out).toBe(8);
      losses.push(loss!, last.loss!);
      for (const [i, own] of losses.entries()) expect(Math.abs(own - expected[i])).toBeLessThan(1e-5);

      const resumed = await createSft(settings);
      resumed.restore(saved);
      expect((await take(resumed, 2)).map(({ loss }) => loss)).toEqual(losses.slice(2));
      const [one, other] = [learner, resumed].map(({ model }) => model.parameters.flat);
      expect(other).toEqual(one);
      for (const each of [learner, resumed]) each[Symbol.dispose]();
    },
  );
});
