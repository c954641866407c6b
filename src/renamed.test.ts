import { describe, expect, it } from 'vitest';
import { currentName, oldName, withCurrentNames, withOldDefaults } from './renamed.ts';

describe('names of version 0.1', () => {
  it('become those of now at every depth, and nothing else changes', () => {
    const weights = Float32Array.of(1, 2);
    const old = { reward: { normalise: 'scale', members: 3 }, list: [{ unlearnt: null }], weights };
    const now = withCurrentNames(old);
    expect(now).toEqual({ reward: { normalize: 'scale', members: 3 }, list: [{ unlearned: null }], weights });
    expect((now as typeof old).weights).toBe(weights);
  });

  it('are found by the names of now, and back', () => {
    expect(currentName('reward.normalise')).toBe('reward.normalize');
    expect(oldName('reward.normalize')).toBe('reward.normalise');
    expect(oldName('reward.members')).toBeUndefined();
    expect(currentName('constructor')).toBe('constructor');
  });
});

it('runs of older versions do what they did where an option came later', () => {
  const old = { env: 'Pendulum-v1', ppo: { horizon: 1024 }, sac: { horizon: 1 } };
  expect(withOldDefaults(old)).toEqual({ ...old, ppo: { rescaleActions: false, horizon: 1024 } });
  expect(withOldDefaults({ a2c: { rescaleActions: true } })).toEqual({ a2c: { rescaleActions: true } });
});
