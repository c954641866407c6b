import { describe, expect, it } from 'vitest';
import { createTraining } from './training.ts';

interface Step {
  step: number;
  done: boolean;
}

/** Counts to `total`; fails at step `failAt`. */
function counting({ total = 3, failAt = -1, signal = undefined as AbortSignal | undefined } = {}) {
  const seen = { opened: 0, disposed: 0 };
  const training = createTraining(
    () => {
      let step = 0;
      seen.opened++;
      return {
        async next(): Promise<Step> {
          step++;
          if (step === failAt) throw new Error('it broke');
          return { step, done: step === total };
        },
        [Symbol.dispose]: () => void seen.disposed++,
      };
    },
    (_, last) => ({ steps: last?.step ?? 0 }),
    signal,
  );
  return { training, seen };
}

describe('a training', () => {
  it('runs to its end when awaited, once, and disposes of its learner', async () => {
    const { training, seen } = counting();
    expect(seen.opened).toBe(0);
    expect(await training).toEqual({ steps: 3 });
    expect(await training).toEqual({ steps: 3 });
    expect(seen).toEqual({ opened: 1, disposed: 1 });
  });

  it('gives its steps when iterated, then its result', async () => {
    const { training, seen } = counting();
    const steps: number[] = [];
    for await (const { step } of training) steps.push(step);
    expect(steps).toEqual([1, 2, 3]);
    expect(await training).toEqual({ steps: 3 });
    expect(seen).toEqual({ opened: 1, disposed: 1 });
    expect(() => training[Symbol.asyncIterator]()).toThrow('it can be iterated only once');
  });

  it('gives the result as it stands after a break, and after the signal aborts', async () => {
    const broken = counting();
    for await (const { step } of broken.training) if (step === 2) break;
    expect(await broken.training).toEqual({ steps: 2 });
    expect(broken.seen.disposed).toBe(1);

    const stop = new AbortController();
    const aborted = counting({ signal: stop.signal });
    for await (const { step } of aborted.training) if (step === 1) stop.abort();
    expect(await aborted.training).toEqual({ steps: 1 });
    expect(aborted.seen.disposed).toBe(1);
  });

  it('rejects with what broke, whether awaited or iterated, and disposes of its learner', async () => {
    const awaited = counting({ failAt: 2 });
    await expect(Promise.resolve(awaited.training)).rejects.toThrow('it broke');
    expect(awaited.seen.disposed).toBe(1);

    const iterated = counting({ failAt: 2 });
    const loop = async () => {
      for await (const _ of iterated.training);
    };
    await expect(loop()).rejects.toThrow('it broke');
    await expect(Promise.resolve(iterated.training)).rejects.toThrow('it broke');
    expect(iterated.seen.disposed).toBe(1);
  });
});
