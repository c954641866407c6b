import { expect, it } from 'vitest';
import { createLateJudgments } from './late-judgments.ts';
import type { Teacher } from './teacher.ts';

it('runs as far ahead of an open query as it may, and waits only before the step after that', async () => {
  const waits: boolean[] = [];
  const silent: Teacher<string> = {
    name: 'silent',
    later: true,
    async *answer(_, signal) {
      await new Promise((resolve) => signal!.addEventListener('abort', resolve));
    },
    onWait: (waiting) => waits.push(waiting),
  };
  const late = createLateJudgments<{ id: string; step: number }, string>(silent, {
    labels: 100,
    steps: 100,
    people: { patience: 5, ahead: 0.05 },
    optionsOf: () => ['one', 'other'],
    others: () => [],
  });
  late.ask([{ id: 'query', step: 10 }]);
  const newsAt = (step: number, signal?: AbortSignal) =>
    late.news({ step, labels: 20, fitted: true }, new Map(), signal);

  expect(await newsAt(15)).toEqual({ comparisons: [], changed: new Map() });
  expect(waits).toEqual([]);

  const stopped = new AbortController();
  const news = newsAt(16, stopped.signal);
  expect(waits).toEqual([true]);
  stopped.abort();
  await expect(news).rejects.toThrow();
  expect(waits).toEqual([true, false]);
  late.stop();
});
