/**
 * The asynchronous loop: asking and fitting beside acting. Run from the compiled package: no thread of Node 20 reads
 * TypeScript.
 */
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import type * as Control from '../src/control/index.ts';
import type * as Env from '../src/env/index.ts';
import type { PairJudgment, Teacher } from '../src/preference/index.ts';
import { call, killAt, ownFolder, rowsOf } from './support/heed.ts';
import { finish } from './support/learners.ts';
import { releasedAfterwards } from './support/released.ts';

const folder = ownFolder();
let control: typeof Control;
let env: typeof Env;
beforeAll(async () => {
  const load = (name: string) => import(pathToFileURL(join(inject('compiled'), 'dist', name, 'index.js')).href);
  [control, env] = await Promise.all([load('control'), load('env')]);
});

const keep = releasedAfterwards();

/**
 * Ten iterations of 128 steps, the first two of them random; twelve labels in rounds of three at 256, 512, 768 and 896.
 */
const tiny = (more: Control.LearnSettings = {}): Control.LearnSettings => ({
  ...{ env: 'CartPole-v1', steps: 1280, labels: 12, randomSteps: 256, evaluations: 0, episodes: 2, renormalize: 2 },
  segment: { window: 10, memory: 600, fewest: 20, candidates: 3 },
  schedule: { rounds: 3, until: 0.7 },
  ppo: { environments: 4, horizon: 32, minibatch: 64, epochs: 2, hidden: [16] },
  ...more,
  reward: { hidden: [16], firstSteps: 20, steps: 10, ...more.reward },
});
/** So long a fit that updates are done before it. */
const slow = { reward: { steps: 1000 } };

function begin(given: Control.LearnSettings, teacher?: Teacher<Control.Segment>): Control.Learner {
  return keep(control.createLearner(given, { environment: env.sourceOf(env.cartPole), teacher }));
}

const longer = ({ length }: Control.Segment, other: Control.Segment): PairJudgment =>
  length === other.length ? [0.5, 0.5] : length > other.length ? [1, 0] : [0, 1];

/** Answers its first round at once, and any other when it is let. */
function hesitant() {
  let rounds = 0;
  let answer = () => {};
  const allowed = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const teacher: Teacher<Control.Segment> = {
    name: 'hesitant',
    async *answer(questions) {
      if (rounds++ > 0) await allowed;
      for (const { id, options } of questions) yield { id, choice: longer(...options) };
    },
  };
  return { teacher, answer: () => answer() };
}

it.each<[string, Control.LearnSettings]>([
  ['PPO', tiny()],
  [
    'PEBBLE',
    tiny({
      ...{ algorithm: 'pebble', env: 'Pendulum-v1', ppo: undefined },
      pebble: { pretrainSteps: 128, hidden: [16], environments: 1 },
    }),
  ],
])('%s with a staleness of 0 learns what the synchronous loop learns, bit for bit', async (_, given) => {
  const results = [];
  for (const settings of [{}, { async: true, staleness: 0 }]) {
    const environment = await env.openEnvironment(given.env!);
    const learner = keep(control.createLearner({ ...given, ...settings }, { environment }));
    results.push({ steps: await finish(learner), saved: structuredClone(learner.save()) });
  }
  expect(results[1]).toEqual(results[0]);
});

describe('a fit that takes long', () => {
  it('is waited for as many updates after the answers as staleness says, and not before', async () => {
    const staleness = 2;
    const steps = await finish(begin(tiny({ async: true, staleness, ...slow })));
    expect(steps.at(-1)!.labels).toBe(12);
    expect(steps.every(({ ppo, step }) => step <= 256 || ppo !== undefined)).toBe(true);
    const heard = steps.flatMap(({ comparisons }, i) => (comparisons.length > 0 ? [i] : []));
    expect(heard).toHaveLength(4);
    const [first, ...others] = heard;
    expect(steps[first].fit).toBeDefined(); // nothing to act on before
    for (const i of others) expect(steps.slice(i + 1, i + 1 + staleness).some(({ fit }) => fit)).toBe(true);
    expect(others.every((i) => steps[i].fit)).toBe(false);
  });

  it('is begun again where a checkpoint was made meanwhile', async () => {
    const given = tiny({ async: true, staleness: 8, ...slow });
    const before = begin(given);
    const steps = [await before.next()];
    while (steps.at(-1)!.labels < 6) steps.push(await before.next());
    expect(steps.at(-1)!.fit).toBeUndefined();
    const after = begin(given);
    after.restore(fromDisk(before.save()));
    expect(after.save().state).toMatchObject({ unlearned: expect.any(Number) });
    const rest = await finish(after);
    expect(rest.at(-1)).toMatchObject({ step: 1280, labels: 12 });
    expect(rest.at(-1)!.fit).toBeDefined(); // all that was said is learned at the end
    expect(after.save().state.unlearned).toBeNull();
  });

  it('that fails stops the training with its own error', async () => {
    const failing = { labels: 12, reward: { learningRate: 1e30 } };
    const [here, there] = await Promise.all(
      [{}, { async: true }].map((more) => finish(begin(tiny({ ...failing, ...more }))).catch((error) => error)),
    );
    expect(here.hint).toBeTruthy();
    expect([there.name, there.message, there.hint]).toEqual([here.name, here.message, here.hint]);
  });
});

describe('a teacher who takes long', () => {
  const given = tiny({ async: true, people: { ahead: 0.3 } }); // three iterations

  it('lets training go on until it is too far ahead', async () => {
    const { teacher, answer } = hesitant();
    const learner = begin(given, teacher);
    const reached: number[] = [];
    while (reached.at(-1) !== 896) {
      const { step, labels, ppo } = await learner.next();
      reached.push(step);
      if (step > 256) expect([labels, ppo !== undefined]).toEqual([3, true]);
    }
    let answered = false;
    const waiting = learner.next().then(({ labels }) => [labels, answered]);
    for (let i = 0; i < 20; i++) await breathe();
    answered = true;
    answer();
    expect(await waiting).toEqual([6, true]);
    expect((await finish(learner)).at(-1)!.labels).toBe(12);
  });

  it('does not hold up Ctrl-C, and is asked the round again after a resumption', async () => {
    const { teacher } = hesitant();
    const stopped = begin(given, teacher);
    const stop = new AbortController();
    for (let step = 0; step < 896; ) ({ step } = await stopped.next(stop.signal));
    const waiting = stopped.next(stop.signal).catch((error) => error);
    stop.abort();
    expect(await waiting).toBe(stop.signal.reason);
    const after = begin(given);
    after.restore(fromDisk(stopped.save()));
    expect((await finish(after)).at(-1)).toMatchObject({ step: 1280, labels: 12 });
  });
});

/** As a checkpoint on disk would give it back. */
function fromDisk({ state, tensors }: ReturnType<Control.Learner['save']>) {
  return { state: JSON.parse(JSON.stringify(state)), tensors: structuredClone(tensors) };
}

it('people are heard as they come, and what they take back is unlearned while the policy goes on', async () => {
  let taken = false;
  const people: Teacher<Control.Segment> = {
    name: 'people',
    later: true,
    async *answer(questions, signal) {
      for (const { id, options } of questions) yield { id, choice: longer(...options) };
      if (!signal!.aborted) await new Promise((resolve) => signal!.addEventListener('abort', resolve));
    },
    async changed(learned) {
      if (taken || learned.size < 6) return new Map();
      taken = true;
      return new Map([[[...learned.keys()][0], 'taken back']]);
    },
  };
  const learner = begin(tiny({ async: true, staleness: 1, ...slow }), people);
  const steps = await finish(learner);
  expect(taken).toBe(true);
  expect(steps.at(-1)).toMatchObject({ labels: 11, waiting: 0 });
  const [first, ...later] = steps.flatMap(({ fit }) => fit?.steps ?? []);
  expect(first).toBe(20);
  expect(later).toContain(20); // anew, and not from what was learned
  expect(steps.every(({ ppo, step }) => step <= 256 || ppo !== undefined)).toBe(true);
});

it('heed train --async goes on after it was killed', { tags: 'proof' }, async () => {
  const run = join(folder.path, 'killed');
  const small = ['--steps', '8000', '--random-steps', '600', '--labels', '12', '--evaluations', '0', '--episodes', '3'];
  const settings = [...small, '--async', '--staleness', '2', '--reward.steps', '400', '--checkpoint-seconds', '0'];
  await killAt(60, ['train', ...settings, '--out', run], folder.path);
  const { code, stdout } = await call(['train', '--resume', run, '--json'], folder.path);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ steps: 8192, labels: 12 });
  expect(rowsOf(run).at(-1)).toMatchObject({ labels: 12 });
});
