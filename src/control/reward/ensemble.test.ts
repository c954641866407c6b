import { describe, expect, it } from 'vitest';
import { drawing, ensemblesReleasedAfterwards, parametersOf } from '../../../test/support/comparisons.ts';
import { expectClose } from '../../../test/support/gradients.ts';
import type { Space } from '../../env/index.ts';
import { choices } from '../../preference/index.ts';
import type { Experience } from '../segments.ts';
import type { FitComparison } from './fit.ts';
import type { RewardOptions } from './options.ts';

const create = ensemblesReleasedAfterwards();
const { segment, labeled, stepsOf } = drawing('reward-ensemble.test');

describe('the terminal head', () => {
  const ended = (count: number) => {
    // to end the task is good, and nothing else matters
    const pair = (): FitComparison => ({ segments: [segment({ terminated: true }), segment()], choice: choices.first });
    return Array.from({ length: count }, pair);
  };

  it('moves the reward of steps that end the task, and of no other', async () => {
    const ensemble = create({ terminalHead: true, output: 'linear', constant: 0 });
    await ensemble.fit(ended(60), { first: true });
    const steps = stepsOf(20);
    const [before, after] = [new Uint8Array(20), Uint8Array.from({ length: 20 }, (_, i) => Number(i % 4 === 0))].map(
      (terminated) => ensemble.predict({ ...steps, terminated }),
    );
    before.forEach((member, m) => {
      member.forEach((reward, i) => {
        if (i % 4 === 0) expect(after[m][i]).toBeGreaterThan(reward + 1);
        else expect(after[m][i]).toBe(reward);
      });
    });
  });

  it('is all that tells them apart, unless changes are seen', () => {
    const steps = stepsOf(4);
    const both = (options: Partial<RewardOptions>) => {
      const ensemble = create(options);
      return [0, 1].map((end) => ensemble.predict({ ...steps, terminated: new Uint8Array(4).fill(end) }));
    };
    const [going, ending] = both({});
    expect(ending).toEqual(going);
    const [seenGoing, seenEnding] = both({ change: true });
    expect(seenEnding).not.toEqual(seenGoing);
  });
});

it('sees actions beside numbers without planes', () => {
  expect(() => create({ actionPlanes: true })).toThrow('reward.actionPlanes is for images');
});

it('sums a segment’s predicted rewards, discounted from its start', () => {
  const ensemble = create({}, { model: { discount: 0.5 }, rows: 4 }); // steps are predicted four at a time
  const segments = [segment(), segment({ length: 1 }), segment({ length: 3 })];
  const returns = ensemble.segmentReturns(segments);
  segments.forEach(({ observations, actions, nextObservations, length }, i) => {
    const rewards = ensemble.predict({ observations, actions, nextObservations, terminated: new Uint8Array(length) });
    rewards.forEach((member, m) => {
      expect(returns[m][i]).toBeCloseTo(
        member.reduce((sum, r, t) => sum + r * 0.5 ** t, 0),
        5,
      );
    });
  });
  const means = segments.map((_, i) => returns.reduce((sum, member) => sum + member[i], 0) / ensemble.members);
  expectClose(ensemble.meanReturns(segments), means, 1e-6);
});

it('sees observations in units of their deviation, and box actions within their bounds', () => {
  const actionSpace: Space = { kind: 'box', low: Float32Array.of(-1), high: Float32Array.of(2) };
  const ensemble = create({ lastGain: 1 }, { actionSpace });
  const steps = { ...stepsOf(8), actions: Float32Array.of(-9, -1, 0, 1, 2, 2.5, 100, 0.5) };
  const plain = ensemble.predict(steps);
  const clipped = ensemble.predict({ ...steps, actions: steps.actions.map((a) => Math.max(-1, Math.min(2, a))) });
  expect(clipped).toEqual(plain);
  ensemble.setScale({ mean: [10, 20, 30], variance: [4, 4, 4], changeVariance: [4, 4, 4] });
  const moved = steps.observations.map((x, i) => 2 * x + [10, 20, 30][i % 3]);
  ensemble.predict({ ...steps, observations: moved }).forEach((member, m) => {
    expectClose(member, plain[m], 1e-4);
  });
});

it('sees actions of any range as those from −1 to 1, unless rescaleActions is false', () => {
  const range = (low: number, high: number): Space => ({
    kind: 'box',
    low: Float32Array.of(low),
    high: Float32Array.of(high),
  });
  const steps = stepsOf(4);
  const predicted = (space: Space, actions: number[], options = {}) =>
    create({ lastGain: 1, ...options }, { actionSpace: space }).predict({
      ...steps,
      actions: Float32Array.from(actions),
    });
  const unit = predicted(range(-1, 1), [-1, 0, 0.5, 1]);
  expect(predicted(range(0, 100), [0, 50, 75, 100])).toEqual(unit);
  expect(predicted(range(Number.NEGATIVE_INFINITY, 1), [-1, 0, 0.5, 1])).toEqual(unit);
  expect(predicted(range(0, 100), [0, 50, 75, 100], { rescaleActions: false })).not.toEqual(unit);
});

describe('what the policy is given', () => {
  const [count, capacity, held, oldest] = [2, 30, 30, 7];
  const steps = stepsOf(held * count);
  const terminated = Uint8Array.from({ length: held * count }, (_, i) => Number(i % 11 === 0));
  const truncated = Uint8Array.from({ length: held * count }, (_, i) => Number(i % 13 === 0));
  const experience = { ...steps, terminated, truncated, count, capacity, held, oldest } as unknown as Experience;
  const DISCOUNT = 0.9;
  let data: FitComparison[] | undefined;
  const normalized = async (options: Partial<RewardOptions>, step = 0) => {
    const ensemble = create(options);
    data ??= labeled(20);
    await ensemble.fit(data, { first: true });
    await ensemble.normalize(experience, DISCOUNT);
    const out = new Float32Array(held * count);
    await ensemble.reward({ ...steps, terminated }, out, step);
    return { ensemble, out };
  };
  const mean = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0) / x.length;
  const rms = (x: ArrayLike<number>) => Math.sqrt(mean(Array.from(x, (v) => v * v)));

  it.each([1, 3])('scale: a root mean square of %d, and the zero where it was', async (deviation) => {
    const { ensemble, out } = await normalized({ members: 1, deviation });
    expect(rms(out)).toBeCloseTo(deviation, 5);
    const [plain] = ensemble.predict({ ...steps, terminated });
    out.forEach((r, i) => {
      expect(r / plain[i]).toBeCloseTo(out[0] / plain[0], 3);
    });
  });

  it('zero-mean: no mean, and unit deviation', async () => {
    const { out } = await normalized({ members: 1, normalize: 'zero-mean' });
    expect(mean(out)).toBeCloseTo(0, 5);
    expect(rms(out)).toBeCloseTo(1, 5);
  });

  it('zero-at-first: no mean over the first experience, whatever is learned and lived later, a checkpoint between', async () => {
    const { ensemble, out } = await normalized({ members: 3, normalize: 'zero-at-first' });
    expect(mean(out)).toBeCloseTo(0, 5);
    const resumed = create({ members: 3, normalize: 'zero-at-first' });
    const { state, tensors } = ensemble.save();
    resumed.restore(state, tensors);
    const later = { ...experience, ...stepsOf(held * count) };
    later.observations = later.observations.map((x) => x + 1);
    for (const one of [ensemble, resumed]) {
      await one.fit(labeled(20), { first: false });
      await one.normalize(later as unknown as Experience, DISCOUNT);
      await one.reward({ ...steps, terminated }, out, 0);
      expect(mean(out)).toBeCloseTo(0, 5);
      await one.reward(later, out, 0);
      expect(Math.abs(mean(out))).toBeGreaterThan(0.01);
    }
  });

  it.each(['scale', 'zero-mean'] as const)(
    'by return, %s: a discounted return of that deviation',
    async (normalize) => {
      const { out } = await normalized({ members: 1, scaleBy: 'return', deviation: 3, normalize });
      const returns: number[] = [];
      for (let n = 0; n < count; n++) {
        for (let t = 0, running = 0; t < held; t++) {
          const i = ((oldest + t) % capacity) * count + n; // in the order lived, round the end of the ring
          running = DISCOUNT * running + out[i];
          returns.push(running);
          if (terminated[i] || truncated[i]) running = 0;
        }
      }
      const average = mean(returns);
      expect(rms(returns.map((r) => r - average))).toBeCloseTo(3, 3);
    },
  );

  it('knows in a checkpoint whether ends paid, which no experience has to show again', () => {
    const plain = create({ members: 2, livingReward: 'auto' });
    expect(plain.removesLivingReward()).toBe(false);
    const { state, tensors } = plain.save();
    const resumed = create({ members: 2, livingReward: 'auto' });
    resumed.restore({ ...state, endsPaid: [false, true] }, tensors);
    expect(resumed.removesLivingReward()).toBe(true);
    expect(resumed.save().state.endsPaid).toEqual([false, true]);
  });

  it('is the mean of members, each normalized on its own', async () => {
    const { ensemble, out } = await normalized({ members: 3, normalize: 'zero-mean', lastGain: 1 });
    const members = ensemble.predict({ ...steps, terminated });
    const expected = Array.from(out, (_, i) =>
      mean(
        members.map((member) => {
          const average = mean(member);
          return (member[i] - average) / rms(member.map((r) => r - average));
        }),
      ),
    );
    expectClose(out, expected, 1e-4);
  });

  it('with a bonus is more by the deviation of members, which falls with the steps', async () => {
    const { ensemble, out: plain } = await normalized({ lastGain: 1 });
    const members = ensemble.predict({ ...steps, terminated }).map((r) => Array.from(r, (v) => v / rms(r)));
    const deviation = plain.map((average, i) => rms(members.map((r) => r[i] - average)));
    for (const [step, share] of [0, 1, 3].map((t) => [t, 0.5 ** t])) {
      const { out } = await normalized({ lastGain: 1, bonus: 2, bonusDecay: 0.5 }, step);
      expectClose(
        out,
        plain.map((average, i) => average + 2 * share * deviation[i]),
        1e-4,
      );
    }
    expectClose((await normalized({ members: 1, bonus: 2 })).out, (await normalized({ members: 1 })).out, 1e-6);
  });
});

it('goes on from a checkpoint as if it had never stopped', async () => {
  const options: Partial<RewardOptions> = {
    validation: 0.25,
    l2: 0.01,
    bootstrap: true,
    terminalHead: true,
    change: true,
    dropout: 0.2,
    finalLearningRate: 0.1,
  };
  const data = labeled(30);
  const whole = create(options);
  whole.setScale({ mean: [1, 2, 3], variance: [1, 4, 9], changeVariance: [1, 4, 9] });
  await whole.fit(data.slice(0, 20), { first: true });
  const { state, tensors } = whole.save();
  const saved = structuredClone({ state: JSON.parse(JSON.stringify(state)), tensors });
  const resumed = create(options);
  await resumed.fit(data, { first: true }); // whatever it knew before is forgotten
  resumed.restore(saved.state, saved.tensors);
  const fit = await whole.fit(data, { first: false });
  expect(await resumed.fit(data, { first: false })).toEqual(fit);
  expect(parametersOf(resumed)).toEqual(parametersOf(whole));
  expect(resumed.save().state).toEqual(whole.save().state);
});
