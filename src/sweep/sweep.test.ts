import { describe, expect, it } from 'vitest';
import { learnSchema } from '../control/index.ts';
import { ablationCells, ablations, checkAblation, TRUE_REWARD, WHOLE } from './ablate.ts';
import { type CellResult, cellOptions } from './cell.ts';
import { curvesOf } from './curves.ts';
import { needsOf } from './needs.ts';
import { checkSweep, createSweep, type SweepInput, sweepCells, sweepOwnSchema, targetOf } from './sweep.ts';
import { grid, oneAtATime, readVaried } from './variants.ts';

const read = (...texts: string[]) => texts.map((one) => readVaried(one, learnSchema));
const plan = (input: SweepInput) => sweepCells({ ...input, ...sweepOwnSchema.parse(input) });

it('says how many trainings there are before any begins', async () => {
  const notices: string[] = [];
  const input = { vary: ['reward.members=1,3'], labels: [5, 10], seeds: 2, jobs: 4, steps: 3000, randomSteps: 500 };
  (await createSweep(input, { onNotice: (text) => notices.push(text) }))[Symbol.dispose]();
  expect(notices).toEqual(['12 trainings (36,000 steps): 3 variants × 2 label counts × 2 seeds, 4 at a time']);
});

describe('what is varied', () => {
  it('reads values of every kind', () => {
    const settings = (text: string) => read(text)[0].values.map((value) => value.settings);
    expect(settings('reward.members=1, 5')).toEqual([{ reward: { members: 1 } }, { reward: { members: 5 } }]);
    expect(settings('reward.hidden=16x16,64')).toEqual([
      { reward: { hidden: [16, 16] } },
      { reward: { hidden: [64] } },
    ]);
    expect(settings('query.rule=random')).toEqual([{ query: { rule: 'random' } }]);
    expect(settings('reward.change=true')).toEqual([{ reward: { change: true } }]);
    expect(settings('teacher=mistake:0.1')).toEqual([{ teacher: 'mistake:0.1' }]);
    expect(settings('reward.steps+reward.firstSteps+steps=5+10+900')).toEqual([
      { reward: { steps: 5, firstSteps: 10 }, steps: 900 },
    ]);
  });

  it('says what is wrong', () => {
    for (const [text, why] of [
      ['reward.member=1', 'names no setting'],
      ['reward=1', 'names no setting'],
      ['constructor=1', 'names no setting'],
      ['reward.members', 'names no setting'],
      ['reward.members+query.rule=1', 'names no setting'],
      ['reward.members=many', 'expected a number'],
      ['reward.members=', 'expected a number'],
      ['reward.hidden=16xx', 'expected widths'],
      ['reward.change=yes', 'expected true or false'],
    ]) {
      expect(() => read(text), text).toThrow(why);
    }
  });

  it('is tried one at a time, or in all combinations', () => {
    const varied = read('reward.members=2,5', 'query.rule=random,entropy');
    expect(oneAtATime(varied).map(({ name }) => name)).toEqual([
      'preset',
      'reward.members=2',
      'reward.members=5',
      'query.rule=random',
      'query.rule=entropy',
    ]);
    const all = grid(varied);
    expect(all).toHaveLength(4);
    expect(all[3]).toEqual({
      name: 'reward.members=5 query.rule=entropy',
      texts: { 'reward.members': '5', 'query.rule': 'entropy' },
      settings: { reward: { members: 5 }, query: { rule: 'entropy' } },
    });
  });
});

describe('a sweep', () => {
  it('trains each variant with each number of labels and each seed, over what is given and the preset', () => {
    const cells = plan({ vary: ['reward.members=5'], labels: [5, 10], seeds: 3, seed: 7, reward: { change: true } });
    expect(cells).toHaveLength(2 * 2 * 3);
    expect(new Set(cells.map(({ key }) => key)).size).toBe(cells.length);
    expect(cells[0]).toMatchObject({ key: 'preset, 5 labels, seed 7', steps: 60_000, seed: 7 });
    const options = cellOptions(cells[7]);
    expect(cells[7].key).toBe('reward.members=5, 10 labels, seed 8');
    expect(options).toMatchObject({
      seed: 8,
      labels: 10,
      evaluations: 0,
      reward: { members: 5, change: true, hidden: [32, 32] },
      ppo: { advantageFloor: 3 }, // of the preset
    });
  });

  it('has questions of its own', () => {
    const cells = plan({});
    expect(cells).toHaveLength(10 * 4 * 17);
    for (const cell of cells.slice(0, 4 * 17)) expect(() => cellOptions(cell), cell.key).not.toThrow();
  });

  it('refuses at once what cannot be', async () => {
    expect(() => checkSweep({ vary: ['reward.members=0'] })).toThrow();
    expect(() => checkSweep({ labels: [0] })).toThrow();
    expect(() => checkSweep({ vary: ['query.rule=best'] })).toThrow('query.rule: expected one of disagreement');
    expect(() => checkSweep({ env: 'CartPoll-v1' })).toThrow('CartPole-v1');
    expect(() => checkSweep({ teacher: 'human' })).toThrow('People cannot judge');
    expect(() => checkAblation({ only: 'random-queries,nothing' })).toThrow('"nothing"');
    await expect(createSweep({ env: 'Pendulum-v1' })).rejects.toThrow('Pendulum-v1 counts as solved');
    expect(await targetOf({ env: 'CartPole-v1' })).toBe(475);
    expect(await targetOf({ env: 'Pendulum-v1', target: -200 })).toBe(-200);
  });
});

/** Returns by number of labels and seed. */
const results = (returns: Record<number, number[]>): CellResult[] =>
  Object.entries(returns).flatMap(([labels, values]) =>
    values.map((value, seed) => ({
      key: `preset, ${labels} labels, seed ${seed}`,
      variant: 'preset',
      seed,
      labels: Number(labels),
      steps: 1,
      return: value,
      curve: [],
      seconds: 1,
    })),
  );

describe('the labels needed', () => {
  const options = { variants: oneAtATime([]), labels: [20, 5, 10], target: 100, share: 0.75, seed: 0, seeds: 4 };
  const needs = (returns: Record<number, number[]>) => needsOf(results(returns), options)[0];

  it('are the fewest with which enough seeds reach the return', () => {
    const found = needs({ 5: [100, 9, 9, 9], 10: [9, 100, 100, 100], 20: [100, 100, 100, 100] });
    expect(found.labels).toBe(10);
    expect(found.interval).toEqual([5, 20]); // one seed in four may be drawn thrice
    expect(found.outcomes.map(({ labels, reached }) => [labels, reached])).toEqual([
      [5, 1],
      [10, 3],
      [20, 4],
    ]);
    expect(found.outcomes[0].median).toBe(9);
    expect(found.outcomes[1].shareInterval[0]).toBeCloseTo(0.301, 3);
  });

  it('are more than were tried where none are enough, and known in part from what is finished', () => {
    expect(needs({ 5: [1, 1, 1, 1], 10: [1, 1, 1, 1], 20: [1, 1, 1, 1] })).toMatchObject({
      labels: Number.POSITIVE_INFINITY,
      interval: [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    });
    const [begun] = needsOf(results({ 5: [100] }), options);
    expect(begun.labels).toBe(5);
    expect(begun.outcomes.map(({ seeds }) => seeds)).toEqual([1, 0, 0]);
    expect(needs({}).labels).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('ablations', () => {
  it("take out what the paper's do, one at a time", () => {
    const common = {
      only: Object.keys(ablations)
        .map((name) => name.replaceAll(' ', '-'))
        .join(','),
      jobs: 1,
    };
    const cells = ablationCells({ ...common, seeds: 2, seed: 0, labels: 12, env: 'CartPole-v1' });
    expect(cells).toHaveLength(8 * 2);
    const of = (name: string) => cellOptions(cells.find(({ variant }) => variant === name)!) as never;
    expect(of(WHOLE)).toMatchObject({
      labels: 12,
      query: { rule: 'disagreement' },
      reward: { members: 3, weightDecay: 6 },
    });
    expect(of('random queries')).toMatchObject({ query: { rule: 'random' }, reward: { members: 3 } });
    expect(of('no ensemble')).toMatchObject({ query: { rule: 'random' }, reward: { members: 1 } });
    expect(of('no online queries')).toMatchObject({ schedule: { firstShare: 1 } });
    expect(of('no regularization')).toMatchObject({ reward: { weightDecay: 0 } });
    expect(of('no segments')).toMatchObject({ segment: { window: 1 } });
    expect(of('target')).toMatchObject({ reward: { learnsFrom: 'returns' }, choice: { errorRate: 0.1 } });
    expect(of(TRUE_REWARD)).toMatchObject({ algorithm: 'ppo', steps: 60_000, evaluations: 10 });
    expect(of(TRUE_REWARD)).not.toHaveProperty('labels');
  });

  it('have curves with intervals over seeds', () => {
    const one = (seed: number, values: number[]): CellResult => ({
      key: `${seed}`,
      variant: WHOLE,
      seed,
      labels: 1,
      steps: 2,
      seconds: 1,
      return: values[1],
      curve: values.map((value, i) => ({ step: i, return: value })),
    });
    const [whole, none] = curvesOf([one(0, [1, 10]), one(1, [3, 30])], [WHOLE, TRUE_REWARD], 20);
    expect(whole).toMatchObject({
      seeds: 2,
      steps: [0, 1],
      mean: [2, 20],
      low: [1, 10],
      high: [3, 30],
      return: 20,
      reached: 1,
    });
    expect(none).toMatchObject({ seeds: 0, steps: [], reached: 0 });
  });
});
