import { describe, expect, it } from 'vitest';
import { AbortError, createTraining } from './training.ts';

interface Step {
  step: number;
  done: boolean;
}

/** Counts to `total`; fails at step `failAt`; waits for the signal in step `waitAt`. */
function counting({ total = 3, failAt = -1, waitAt = -1, signal = undefined as AbortSignal | undefined } = {}) {
  const seen = { opened: 0, disposed: 0 };
  const training = createTraining(
    () => {
      let step = 0;
      seen.opened++;
      return {
        async next(within?: AbortSignal): Promise<Step> {
          if (step + 1 === waitAt) {
            await new Promise((_, reject) => within!.addEventListener('abort', () => reject(within!.reason)));
          }
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

const stepsOf = async (training: AsyncIterable<Step>) => {
  const steps: number[] = [];
  for await (const { step } of training) steps.push(step);
  return steps;
};

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
    expect(await stepsOf(training)).toEqual([1, 2, 3]);
    expect(await training).toEqual({ steps: 3 });
    expect(seen).toEqual({ opened: 1, disposed: 1 });
    expect(() => training[Symbol.asyncIterator]()).toThrow('it can be iterated only once');
  });

  it('is a promise: of its type, with then, catch and finally, alone and among others', async () => {
    const asPromise: Promise<{ steps: number }> = counting().training;
    expect(asPromise).toBeInstanceOf(Promise);
    let ended = 0;
    expect(await asPromise.finally(() => void ended++)).toEqual({ steps: 3 });
    expect(ended).toBe(1);
    expect(await counting().training.then(({ steps }) => steps + 1)).toBe(4);
    expect(await counting({ failAt: 1 }).training.catch((error: Error) => error.message)).toBe('it broke');
    expect(await Promise.all([counting().training, counting({ total: 2 }).training])).toEqual([
      { steps: 3 },
      { steps: 2 },
    ]);
    const passedOn = async () => counting().training;
    expect(await passedOn()).toEqual({ steps: 3 });
  });

  it('gives the result as it stands after a break', async () => {
    const { training, seen } = counting();
    for await (const { step } of training) if (step === 2) break;
    expect(await training).toEqual({ steps: 2 });
    expect(seen.disposed).toBe(1);
  });

  it('ends when the signal aborts, between steps or in a wait, and rejects with the result as it stands', async () => {
    const stop = new AbortController();
    const iterated = counting({ signal: stop.signal });
    const steps: number[] = [];
    for await (const { step } of iterated.training) {
      steps.push(step);
      if (step === 2) stop.abort();
    }
    expect(steps).toEqual([1, 2]);
    const error = await iterated.training.catch((error) => error);
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({
      name: 'AbortError',
      code: 'ABORT_ERR',
      partial: { steps: 2 },
      cause: stop.signal.reason,
    });
    expect(error.message).toBe('The training was aborted after step 2.');
    expect(iterated.seen.disposed).toBe(1);

    const waiting = new AbortController();
    const awaited = counting({ signal: waiting.signal, waitAt: 2 });
    setImmediate(() => waiting.abort(new Error('too late')));
    await expect(awaited.training).rejects.toMatchObject({
      message: 'The training was aborted after step 1: too late',
      partial: { steps: 1 },
    });
    expect(awaited.seen.disposed).toBe(1);
  });

  it('does not begin when the signal has aborted before, and is complete when it aborts after the last step', async () => {
    const before = counting({ signal: AbortSignal.abort() });
    expect(await stepsOf(before.training)).toEqual([]);
    await expect(before.training).rejects.toMatchObject({ name: 'AbortError', partial: undefined });
    expect(before.seen.opened).toBe(0);

    const stop = new AbortController();
    const after = counting({ signal: stop.signal });
    for await (const { done } of after.training) if (done) stop.abort();
    expect(await after.training).toEqual({ steps: 3 });
  });

  it('rejects with what broke, whether awaited or iterated, and disposes of its learner', async () => {
    const awaited = counting({ failAt: 2 });
    await expect(awaited.training).rejects.toThrow('it broke');
    expect(awaited.seen.disposed).toBe(1);

    const iterated = counting({ failAt: 2 });
    await expect(stepsOf(iterated.training)).rejects.toThrow('it broke');
    await expect(iterated.training).rejects.toThrow('it broke');
    expect(iterated.seen.disposed).toBe(1);
  });

  it('ends with the block of an await using', async () => {
    const { training, seen } = counting({ total: 1000 });
    {
      await using held = training;
      for (const steps = held[Symbol.asyncIterator](); (await steps.next()).value?.step !== 3; );
    }
    expect(seen.disposed).toBe(1);
    expect(await training).toEqual({ steps: 3 });
    {
      await using _never = counting().training;
    }
  });

  it('lets timers fire between steps that take their time', async () => {
    let fired = 0;
    const timer = setInterval(() => fired++, 1);
    const busy = createTraining(
      () => {
        let step = 0;
        return {
          async next() {
            for (const until = performance.now() + 15; performance.now() < until; );
            return { step: ++step, done: step === 10 };
          },
          [Symbol.dispose]() {},
        };
      },
      () => ({}),
    );
    await busy;
    clearInterval(timer);
    expect(fired).toBeGreaterThanOrEqual(5);
  });
});
