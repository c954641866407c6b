/** Asynchronous rollouts: episodes run ahead of the policy by a bounded number of updates. */
import { expect, it, onTestFinished, vi } from 'vitest';
import { checkpointOf, smallModel, take } from '../../../test/support/training.ts';
import { breathe } from '../../node.ts';
import type { LanguageEnvironment, LanguageTasks } from '../agents/environment.ts';
import { createGrpo } from '../policy-gradient/grpo.ts';
import { createReinforce } from '../policy-gradient/reinforce.ts';

const model = smallModel();

/** Two turns, whose reward is the length of the last. */
const talking = (own: Partial<LanguageEnvironment> = {}): LanguageEnvironment => {
  let turns = 0;
  return {
    reset: ({ id }) => [{ role: 'user', content: `Go on, ${id}.` }],
    step: async ({ text }) =>
      ++turns === 2 ? { reward: text.length / 10, done: true } : { messages: [{ role: 'user', content: 'more' }] },
    ...own,
  };
};
const tasksOf = (make: () => LanguageEnvironment): LanguageTasks => ({
  name: 'talking',
  tasks: Array.from({ length: 8 }, (_, id) => ({ id })),
  make,
});
const settings = {
  model,
  chatTemplate: 'plain',
  batch: 2,
  completions: 2,
  maxTokens: 5,
  rows: 2,
  evaluations: 0,
  maxKl: 0,
  learningRate: 0.003,
  episode: { turns: 2, tokens: 60 },
};

it('lets episodes run ahead by so many updates at most, and does it twice the same', async () => {
  const create = (open: typeof createGrpo, more: object) =>
    open({ ...settings, ...more, env: tasksOf(talking), steps: 3, rollouts: { staleness: 2 } });
  const run = async () => {
    using learner = await create(createGrpo, {});
    return (await take(learner, 3)).map(({ metrics }) => metrics);
  };
  const rows = await run();
  expect(rows.map((row) => row['rollouts/staleness_max'])).toEqual([0, 1, 2]);
  expect(rows[0]['rollouts/weight']).toBeCloseTo(1, 4);
  expect(Math.abs(rows[2]['rollouts/weight'] - 1)).toBeGreaterThan(1e-4);
  expect(await run()).toEqual(rows);
  // what was under way at a checkpoint is drawn again
  using learner = await create(createReinforce as never, { completions: 4, clip: 0.2 });
  await learner.next();
  const checkpoint = checkpointOf(learner);
  const [next] = await take(learner, 1);
  learner.restore(checkpoint);
  const [again] = await take(learner, 1);
  expect([next, again].map(({ metrics }) => metrics['rollouts/staleness_max'])).toEqual([1, 0]);
  for (const value of Object.values(again.metrics)) expect(value).toSatisfy(Number.isFinite);
});

it('runs tools while the policy learns, and counts what fails by its task', async () => {
  // time passes by turns of the event loop, while `pass` is true: a tool replies after one, and one that hangs is given up
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const waits = new Set<() => void>();
  let pass = true;
  onTestFinished(() => {
    pass = false;
    vi.useRealTimers();
  });
  const passing = async () => {
    while (pass) {
      await breathe();
      for (const go of waits) go();
      waits.clear();
      vi.advanceTimersByTime(1);
    }
  };
  const begun: number[] = [];
  let replies = 0;
  const env = tasksOf(() => {
    let id = 0;
    return talking({
      reset(task) {
        id = task.id as number;
        begun.push(id);
        return [{ role: 'user', content: 'Go on.' }];
      },
      async step() {
        if (id === 0) throw new Error('out of paper');
        if (id === 1) return { reward: Number.NaN, done: true };
        if (id === 2) return new Promise<never>(() => {}); // hangs
        await new Promise<void>((resolve) => waits.add(resolve));
        return { reward: replies++ % 7, done: true };
      },
    });
  });
  const episode = { ...settings.episode, seconds: 0.2 };
  using learner = await createGrpo({ ...settings, env, episode, batch: 4, steps: 4, rollouts: { staleness: 1 } });
  let passed = passing();
  const failures: { task: string; failure: string }[] = [];
  for (let step = 1; step <= 2; step++) failures.push(...((await learner.next()).failures ?? []));
  pass = false;
  await passed;
  expect(begun.length).toBe(3 * 4 * 2); // those of the third step are under way
  const of = (id: number) => failures.filter(({ task }) => task === String(id)).map(({ failure }) => failure);
  expect(of(0)).toEqual(['out of paper', 'out of paper']);
  expect(of(1)[0]).toContain('finite number as reward, got NaN');
  expect(of(2)).toEqual(new Array(2).fill(expect.stringContaining('step of "talking" took more than 0.2 s')));
  expect(failures).toHaveLength(6); // those that reply in time do not fail
  // a stop drops what is under way; it is drawn again
  const stop = new AbortController();
  const stopped = learner.next(stop.signal);
  while (waits.size === 0) await breathe();
  stop.abort(new Error('enough'));
  await expect(stopped).rejects.toThrow('enough');
  pass = true;
  passed = passing();
  expect((await learner.next()).step).toBe(3);
  expect(begun.length).toBe(4 * 8 + 2 * 8);
  pass = false;
  await passed;
});

it('says what asynchronous rollouts need', async () => {
  await expect(createGrpo({ model, data: [{ prompt: 'a' }], rollouts: { staleness: 1 } })).rejects.toThrow(
    '--rollouts.staleness needs an --env or --agent',
  );
  const env = tasksOf(() => talking({ reset: () => Promise.reject(new Error('no such task')) }));
  using learner = await createGrpo({ ...settings, env, steps: 2, rollouts: { staleness: 1 } });
  await expect(learner.next()).rejects.toThrow('cannot begin an episode: no such task');
});
