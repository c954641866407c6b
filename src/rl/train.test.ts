import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { makeEnvironment, sourceOf } from '../env/index.ts';
import { HeedError } from '../error.ts';
import { createRun, openRun, type Run, readMetrics } from '../run/index.ts';
import { type Algorithm, rlAlgorithms } from './agent.ts';
import { rlReport } from './report.ts';
import { createRlLearner, evaluateUntrained, type RlSettings, rlOptions, trainRl } from './train.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});
const newFolder = () => {
  folders.push(mkdtempSync(join(tmpdir(), 'heed-rl-')));
  return join(folders.at(-1)!, 'run');
};

const small: Record<Algorithm, object> = {
  ppo: { environments: 2, horizon: 128, minibatch: 64, epochs: 2, hidden: [8] },
  a2c: { environments: 2, hidden: [8] },
  trpo: { environments: 2, horizon: 128, minibatch: 64, hidden: [8] },
  sac: { learningStarts: 250, minibatch: 16, bufferSize: 500, hidden: [8] },
};
const settings = (algorithm: Algorithm): RlSettings => ({
  algorithm,
  env: 'Pendulum-v1',
  steps: 1000,
  evaluations: 2,
  episodes: 2,
  [algorithm]: small[algorithm],
});

async function train(
  run: Run,
  options: RlSettings,
  {
    stopAfter = Number.POSITIVE_INFINITY,
    make = () => makeEnvironment('Pendulum-v1'),
    onNotice = (_step: number, _text: string): void => {},
  } = {},
) {
  let now = 0;
  const controller = new AbortController();
  const learner = createRlLearner(rlOptions(options), { environment: sourceOf(make) });
  try {
    return await trainRl(learner, {
      run,
      signal: controller.signal,
      onStep: ({ step }) => {
        now = step;
        if (step >= stopAfter) controller.abort();
      },
      onWarning: (text) => onNotice(now, text),
    });
  } finally {
    learner[Symbol.dispose]();
    run.close();
  }
}

describe.each(rlAlgorithms)('%s', (algorithm) => {
  it('trained in a folder, stopped and resumed, comes to what it does uninterrupted, and to a report', async () => {
    const options = settings(algorithm);
    const about = { name: 'test', command: 'rl', config: rlOptions(options), seed: 0 };
    const [whole, halved] = [newFolder(), newFolder()];
    const expected = await train(createRun(whole, about), options);
    expect(await train(createRun(halved, about), options, { stopAfter: 400 })).toBeUndefined();
    const result = await train(openRun(halved), options);
    expect(result?.return).toEqual(expected?.return);
    const rows = (folder: string) => readMetrics(folder).map(({ time: _, ...row }) => row);
    expect(rows(halved)).toEqual(rows(whole));
    const report = rlReport(halved);
    expect(report.subtitle).toContain(algorithm.toUpperCase());
    expect(report.sections.length).toBeGreaterThan(2);
  });
});

it('a report marks where the environment counts as solved, also one that it cannot open', async () => {
  const options: RlSettings = { ...settings('ppo'), env: './own.js', steps: 256 };
  const own = () => ({ ...makeEnvironment('Pendulum-v1'), rewardThreshold: -200 });
  const folder = newFolder();
  const run = createRun(folder, { name: 'test', command: 'rl', config: rlOptions(options), seed: 0 });
  await train(run, options, { make: own });
  expect(rlReport(folder).sections[1]).toMatchObject({ title: 'Return', levels: [{ y: -200, label: 'solved' }] });
});

it('takes the settings that are known to work in the environment, under what is given', () => {
  const { steps, sac } = rlOptions({ algorithm: 'sac', env: 'Pendulum-v1', sac: { tau: 0.01 } });
  expect([steps, sac?.learningRate, sac?.tau]).toEqual([20_000, 1e-3, 0.01]);
  expect(rlOptions({ algorithm: 'trpo', env: 'CartPole-v1' }).trpo?.horizon).toBe(512);
  expect(rlOptions({}).ppo?.horizon).toBe(32);
});

it('refuses settings of an algorithm that is not the chosen one', () => {
  const wrong = () => rlOptions({ env: 'Pendulum-v1', sac: { tau: 0.01 } });
  expect(wrong).toThrow(HeedError);
  expect(wrong).toThrow('settings of sac are set, but the algorithm is ppo');
});

const paid = (reward: (step: number) => number) => () => {
  const inner = makeEnvironment('Pendulum-v1');
  let steps = 0;
  return {
    ...inner,
    step: (...act: Parameters<typeof inner.step>) => ({ ...inner.step(...act), reward: reward(steps++) }),
  };
};
const endless = () => ({ ...makeEnvironment('Pendulum-v1'), maxEpisodeSteps: 50_000 });
const atOnce = () => {
  const inner = makeEnvironment('Pendulum-v1');
  return { ...inner, step: (...act: Parameters<typeof inner.step>) => ({ ...inner.step(...act), terminated: true }) };
};

it.each([
  ['a constant reward', paid(() => 3), 'Every step has earned a reward of 3'],
  [
    'a reward that changes its scale',
    paid((step) => Math.sin(step) * 1.06 ** Math.min(step, 400)),
    'change their scale',
  ],
  ['episodes that never end', endless, 'No episode has ended yet'],
  ['episodes of one step', atOnce, 'Episodes are over at once'],
])('%s is named within the first tenth', async (_, make, text) => {
  const options = { ...settings('ppo'), steps: 5120, evaluations: 0, episodes: 1, ppo: { ...small.ppo, horizon: 64 } };
  const told: { step: number; text: string }[] = [];
  const onNotice = (step: number, text: string) => told.push({ step, text });
  const run = createRun(newFolder(), { name: 'bad', command: 'rl', config: rlOptions(options), seed: 0 });
  await train(run, options, { make, onNotice });
  const found = told.find((notice) => notice.text.includes(text));
  expect(found?.step, JSON.stringify(told)).toBeLessThanOrEqual(512);
});

it('tells how long evaluations take, if that is long', async () => {
  const notices: string[] = [];
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  const evaluation = { mean: 1, std: 0, episodes: 100, length: 1000, returns: [] };
  const environment = { id: 'Slow', maxEpisodeSteps: 1000 };
  const first = (seconds: number, evaluations: number) => {
    const evaluate = async () => {
      now += 1000 * seconds;
      return evaluation;
    };
    return evaluateUntrained({ environment, evaluate, options: { episodes: 100, evaluations } }, (text) =>
      notices.push(text),
    );
  };
  try {
    expect(await first(2, 20)).toBe(evaluation);
    await first(60, 1);
    expect(notices).toEqual([]);
    await first(30, 20);
    expect(notices).toEqual([
      'An evaluation of 100 episodes takes 30 s (1000 steps each), and 20 more follow: about 10 minutes. Fewer --episodes or --evaluations take less.',
    ]);
  } finally {
    clock.mockRestore();
  }
});
