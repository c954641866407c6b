import { describe, expect, it } from 'vitest';
import {
  drawing,
  ensemblesReleasedAfterwards,
  flipped,
  parametersOf,
  returnOf,
} from '../../../test/support/comparisons.ts';
import { type ChoiceModel, choices } from '../../preference/index.ts';
import type { Segment } from '../segments.ts';
import type { FitComparison } from './fit.ts';
import type { RewardOptions } from './options.ts';

const create = ensemblesReleasedAfterwards();
const { segment, labeled, coin, stepsOf } = drawing('reward-fit.test');

describe('a fit', () => {
  it('learns a known reward from comparisons alone', async () => {
    const ensemble = create({ output: 'linear', weightDecay: 0.1, firstSteps: 300 });
    const fit = await ensemble.fit(labeled(300), { first: true });
    expect(fit.trainAccuracy).toBeGreaterThan(0.95);
    const fresh = labeled(300);
    const returns = [0, 1].map((side) => ensemble.meanReturns(fresh.map(({ segments }) => segments[side])));
    const right = fresh.filter(({ choice }, i) => returns[0][i] > returns[1][i] === (choice[0] === 1)).length;
    expect(right / fresh.length).toBeGreaterThan(0.9);
  });

  it('learns the true returns themselves where it is told to, whatever was chosen', async () => {
    const options = { learnsFrom: 'returns', output: 'linear', constant: 0, weightDecay: 0 } as const;
    const ensemble = create({ ...options, firstSteps: 400 });
    await ensemble.fit(labeled(100).map(flipped), { first: true });
    const fresh = Array.from({ length: 50 }, () => segment());
    const predicted = ensemble.meanReturns(fresh);
    const errors = fresh.map((one, i) => (predicted[i] - returnOf(one)) ** 2);
    const spread = fresh.map((one) => returnOf(one) ** 2);
    expect(errors.reduce((a, b) => a + b) / spread.reduce((a, b) => a + b)).toBeLessThan(0.1);
  });

  it('keeps rewards near their mean with `sparsity`, the more so the more pairs tie', async () => {
    const data = labeled(100);
    const steps = stepsOf(500);
    const apart = async (tied: number, sparsity: number) => {
      const ensemble = create({ output: 'linear', weightDecay: 0.1, sparsity });
      const some = data.map((one, i) => (i < tied ? { ...one, choice: choices.tie } : one));
      await ensemble.fit(some, { first: true });
      const [rewards] = ensemble.predict(steps);
      const mean = rewards.reduce((a, b) => a + b) / rewards.length;
      return rewards.reduce((sum, reward) => sum + Math.abs(reward - mean), 0) / rewards.length;
    };
    expect(await apart(0, 1)).toBe(await apart(0, 0));
    expect(await apart(10, 1)).toBeLessThan(0.8 * (await apart(10, 0)));
    expect(await apart(50, 1)).toBeLessThan(0.5 * (await apart(10, 1)));
  });

  it('leaves to an end what it earns, however large `sparsity` is', async () => {
    const data = Array.from({ length: 60 }, (_, i): FitComparison => {
      const segments = [segment({ terminated: i % 2 === 0 }), segment({ terminated: i % 2 === 1 })] as const;
      return { segments, choice: i % 3 === 0 ? choices.tie : segments[0].terminated ? choices.first : choices.second };
    });
    const ensemble = create({ output: 'linear', terminalHead: true, weightDecay: 0.1, firstSteps: 300, sparsity: 1 });
    expect((await ensemble.fit(data, { first: true })).trainAccuracy).toBe(1);
  });

  it('learns the same where what a minibatch draws twice is computed once', async () => {
    const data = labeled(5);
    const steps = stepsOf(50);
    const rewardsWith = async (sparsity: number) => {
      const ensemble = create({ sparsity, firstSteps: 30 });
      await ensemble.fit(data, { first: true });
      return ensemble.predict(steps).flatMap((rewards) => [...rewards]);
    };
    // no pair ties, so this penalty is 0, but with it each draw has rows of its own
    const each = await rewardsWith(1);
    for (const [i, reward] of (await rewardsWith(0)).entries()) expect(reward).toBeCloseTo(each[i], 4);
  });

  it('learns the opposite from inverted ones, and nothing from ties', async () => {
    const data = labeled(100);
    const [inverted, tied] = [create(), create({ weightDecay: 0 })];
    await inverted.fit(data.map(flipped), { first: true });
    const accuracy = (ensemble: typeof inverted) => {
      const returns = [0, 1].map((side) => ensemble.meanReturns(data.map(({ segments }) => segments[side])));
      return data.filter(({ choice }, i) => returns[0][i] > returns[1][i] === (choice[0] === 1)).length / data.length;
    };
    expect(accuracy(inverted)).toBeLessThan(0.1);
    const fit = await tied.fit(
      data.map(({ segments }) => ({ segments, choice: choices.tie })),
      { first: true },
    );
    expect(fit.trainAccuracy).toBeNaN(); // none is decided
    expect(fit.trainLoss).toBeLessThan(Math.LN2 + 0.01);
  });

  it.each<[string, Partial<ChoiceModel>, Partial<RewardOptions>]>([
    ['Bradley–Terry', {}, {}],
    ['a sharp scale', { scale: 0.1 }, {}],
    ['a discount', { discount: 0.5 }, {}],
    ['an error rate', { errorRate: 0.2 }, {}],
    ['a hinge', { kind: 'hinge', scale: 0.5 }, {}],
    ['units that are rectified', {}, { activation: 'relu' }],
    [
      'a linear output with a terminal head that sees changes',
      {},
      { output: 'linear', terminalHead: true, change: true },
    ],
  ])('trains on what it predicts, padding left out: %s', async (_, model, options) => {
    // one member and one comparison: the loss trained on is the loss of the predicted returns
    const pairs: [Segment, Segment][] = [
      [segment({ length: 2, terminated: true }), segment({ level: 1 })],
      [segment(), segment({ length: 1 })],
      [segment({ terminated: true }), segment({ length: 4, terminated: true })],
    ];
    for (const segments of pairs) {
      const ensemble = create({ members: 1, lastGain: 1, learningRate: 1e-12, steps: 1, ...options }, { model });
      const fit = await ensemble.fit([{ segments, choice: [0.75, 0.25] }], { first: false });
      expect(fit.loss).toBeCloseTo(fit.trainLoss, 5);
    }
  });

  it('drops hidden units out as it trains, and not as it predicts', async () => {
    const data = labeled(1);
    const once = async (dropout: number) =>
      await create({ members: 1, output: 'linear', lastGain: 3, learningRate: 1e-12, steps: 1, dropout }).fit(data, {
        first: false,
      });
    expect((await once(0.5)).trainLoss).toBeCloseTo((await once(0)).trainLoss, 6); // of predictions
    expect(Math.abs((await once(0.5)).loss - (await once(0)).loss)).toBeGreaterThan(0.01);
    expect(await once(0.5)).toEqual(await once(0.5));
    const ensemble = create({ dropout: 0.3, output: 'linear', weightDecay: 0.1 });
    expect((await ensemble.fit(labeled(200), { first: true })).trainAccuracy).toBeGreaterThan(0.85);
  });

  it('lowers its rate to the share it is told by the end of each', async () => {
    const data = labeled(20);
    const after = async (finalLearningRate: number, firstSteps: number) => {
      const ensemble = create({ finalLearningRate, firstSteps, weightDecay: 0 });
      await ensemble.fit(data, { first: true });
      return parametersOf(ensemble);
    };
    expect(await after(0, 1)).toEqual(await after(1, 1)); // it begins at the whole rate
    expect(await after(0, 2)).not.toEqual(await after(1, 2));
  });

  it('stays finite where predictions are far apart', async () => {
    const ensemble = create(
      { output: 'linear', lastGain: 1000, learningRate: 1e-12, l2: 0.1, validation: 0.5 },
      { model: { scale: 0.1 } },
    );
    const fit = await ensemble.fit(labeled(10), { first: true });
    expect([fit.trainLoss, fit.validationLoss, fit.loss].every(Number.isFinite)).toBe(true);
  });

  it('takes as many steps as it is told', async () => {
    const data = labeled(40);
    expect((await create({ firstSteps: 70, steps: 30 }).fit(data, { first: true })).steps).toBe(70);
    expect((await create({ firstSteps: 70, steps: 30 }).fit(data, { first: false })).steps).toBe(30);
  });
});

describe('members', () => {
  it('start apart, and see the same comparisons', async () => {
    const ensemble = create({ members: 4, weightDecay: 0 });
    const steps = stepsOf(10);
    const before = ensemble.predict(steps);
    for (const m of [1, 2, 3]) expect(before[m]).not.toEqual(before[0]);
    await ensemble.fit(labeled(1), { first: true });
    ensemble.predict(steps).forEach((member, m) => {
      expect(member).not.toEqual(before[m]);
    });
  });

  it('with bootstrap, those whose resampling lacks a comparison learn nothing from it', async () => {
    const ensemble = create({ members: 16, weightDecay: 0, bootstrap: true, firstSteps: 5 });
    const steps = stepsOf(10);
    const before = ensemble.predict(steps);
    await ensemble.fit(labeled(1), { first: true });
    const after = ensemble.predict(steps);
    const untouched = after.filter((member, m) => member.every((r, i) => r === before[m][i])).length;
    expect(untouched).toBeGreaterThan(1); // a share 1/e of 16
    expect(untouched).toBeLessThan(12);
  });

  it('of other seeds are others', () => {
    const steps = stepsOf(10);
    expect(create({}, { seed: 1 }).predict(steps)).not.toEqual(create({}, { seed: 2 }).predict(steps));
    expect(create({}, { seed: 1 }).predict(steps)).toEqual(create({}, { seed: 1 }).predict(steps));
  });
});

describe('validation', () => {
  it.each([0.1, 0.25, 0.5])(
    'a share of %d is never trained on, not even before there were enough',
    async (validation) => {
      const data = labeled(40);
      const held = data.map((_, i) => i % Math.round(1 / validation) === Math.round(1 / validation) - 1);
      const train = async (comparisons: FitComparison[]) => {
        const ensemble = create({ validation, firstSteps: 20, steps: 20 });
        let fit = await ensemble.fit(comparisons.slice(0, 1), { first: true });
        for (const n of [3, 9, 40]) fit = await ensemble.fit(comparisons.slice(0, n), { first: false });
        return { parameters: parametersOf(ensemble), fit };
      };
      const plain = await train(data);
      const other = await train(data.map((c, i) => (held[i] ? flipped(c) : c)));
      expect(other.parameters).toEqual(plain.parameters);
      expect(other.fit.trainAccuracy).toBe(plain.fit.trainAccuracy);
      expect(other.fit.validationAccuracy).toBeCloseTo(1 - plain.fit.validationAccuracy, 12);
      const first = held.indexOf(false);
      expect((await train(data.map((c, i) => (i === first ? flipped(c) : c)))).parameters).not.toEqual(
        plain.parameters,
      );
    },
  );

  it('raises l2 where the loss held out is far above that trained on, lowers it where it is not', async () => {
    const options = { validation: 0.5, l2: 0.001, weightDecay: 0 };
    const overfitted = await create({ ...options, firstSteps: 600 }).fit(labeled(20, coin), { first: true });
    expect(overfitted.validationLoss / overfitted.trainLoss).toBeGreaterThan(1.5);
    expect(overfitted.l2).toBeCloseTo(0.0015, 9);
    const begun = await create({ ...options, firstSteps: 1, learningRate: 1e-9 }).fit(labeled(20), { first: true });
    expect(begun.validationLoss / begun.trainLoss).toBeLessThan(1.1);
    expect(begun.l2).toBeCloseTo(0.001 / 1.5, 9);
  });

  it('without it, l2 stays, and keeps weights small', async () => {
    const data = labeled(50);
    const weightsWith = async (l2: number) => {
      const ensemble = create({ l2, weightDecay: 0 });
      expect((await ensemble.fit(data, { first: true })).l2).toBe(l2);
      return ensemble.save().tensors['reward.0.0.weight'].data as Float32Array;
    };
    const [free, held] = [await weightsWith(0), await weightsWith(0.1)];
    const squares = (x: Float32Array) => x.reduce((a, b) => a + b * b, 0);
    expect(squares(held)).toBeLessThan(squares(free) / 2);
  });
});

describe('the learned constant', () => {
  const longer = (): FitComparison => ({ segments: [segment({ length: 2 }), segment()], choice: choices.second });
  const constantOf = (ensemble: ReturnType<typeof create>) => [
    ...(ensemble.save().tensors['reward.constant'].data as Float32Array),
  ];

  it('takes the sign that makes longer clips the better or the worse, in every member', async () => {
    const data = Array.from({ length: 20 }, longer);
    const [liked, disliked] = [create(), create()];
    await liked.fit(data, { first: true });
    await disliked.fit(data.map(flipped), { first: true });
    for (const c of constantOf(liked)) expect(c).toBeGreaterThan(0);
    for (const c of constantOf(disliked)) expect(c).toBeLessThan(0);
  });

  it('does not decay with the weights', async () => {
    const ensemble = create({ weightDecay: 100, output: 'linear' });
    const data = Array.from({ length: 20 }, longer);
    expect((await ensemble.fit(data, { first: true })).trainAccuracy).toBe(1);
    const weights = ensemble.save().tensors['reward.0.0.weight'].data as Float32Array;
    expect(Math.max(...weights.map(Math.abs))).toBeLessThan(0.05);
    for (const c of constantOf(ensemble)) expect(c).toBeGreaterThan(0.02);
  });

  it('is none where its weight is 0', () => {
    expect(create({ constant: 0 }).save().tensors).not.toHaveProperty('reward.constant');
  });
});
