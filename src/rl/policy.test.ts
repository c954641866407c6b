import { describe, expect, it } from 'vitest';
import { checkGradient, evaluate, expectClose, numbers, of } from '../../test/support/gradients.ts';
import type { Box, Space } from '../env/index.ts';
import { createParameters } from '../nn/index.ts';
import { random } from '../random.ts';
import { createForward } from './forward.ts';
import {
  createPolicyNetwork,
  encodeAction,
  greedyActions,
  LOG_DEVIATION,
  sampleActions,
  uniformActions,
} from './policy.ts';

const network = { hidden: [8], activation: 'tanh', gain: 1 } as const;
const box: Box = { kind: 'box', low: Float32Array.of(-1, -2), high: Float32Array.of(1, 4) };
const discrete: Space = { kind: 'discrete', n: 3 };

describe('a Gaussian policy', () => {
  const policy = createPolicyNetwork(4, box, network);
  const inputs = {
    mean: numbers([5, 2], { seed: 1 }),
    actions: numbers([5, 2], { low: -2, high: 2, seed: 2 }),
    [LOG_DEVIATION]: of([1, 2], [-0.3, 0.4]),
  };
  const deviations = inputs[LOG_DEVIATION].data.map(Math.exp);
  const density = (row: number) =>
    [0, 1].reduce((product, j) => {
      const z = (inputs.actions.data[2 * row + j] - inputs.mean.data[2 * row + j]) / deviations[j];
      return (product * Math.exp(-0.5 * z * z)) / (deviations[j] * Math.sqrt(2 * Math.PI));
    }, 1);
  const logProbability = (t: Parameters<Parameters<typeof evaluate>[0]>[0]) => policy.logProbability(t.mean, t.actions);

  it('has the logarithm of the product of its densities, and its gradients', () => {
    const expected = [0, 1, 2, 3, 4].map((row) => Math.log(density(row)));
    expectClose(evaluate(logProbability, inputs), expected, 2e-6);
    checkGradient(logProbability, inputs, { symbols: false });
  });

  it('starts with a standard deviation of 1, or with initialDeviation', () => {
    const first = (initialDeviation?: number) => {
      const { parameters } = createPolicyNetwork(4, box, { ...network, initialDeviation });
      using values = createParameters(parameters, random(0));
      return Array.from(values.values[LOG_DEVIATION].data as Float32Array, Math.exp);
    };
    expect(first()).toEqual([1, 1]);
    expect(first(0.5)).toEqual([expect.closeTo(0.5, 6), expect.closeTo(0.5, 6)]);
  });

  it('with rescaleActions, acts in units of half the range of each action, from its middle', () => {
    const low = Float32Array.of(0, -0.5, Number.NEGATIVE_INFINITY);
    const space = { kind: 'box' as const, shape: [3], low, high: Float32Array.of(100, 0.5, 2) };
    const options = { ...network, initialDeviation: 0.5 };
    const [raw, rescaled] = [false, true].map((rescaleActions) =>
      createPolicyNetwork(4, space, { ...options, rescaleActions }),
    );
    using parameters = createParameters(rescaled.parameters, random(0));
    const deviations = Array.from(parameters.values[LOG_DEVIATION].data as Float32Array, Math.exp);
    expect(deviations).toEqual([25, 0.25, 0.5].map((deviation) => expect.closeTo(deviation, 4)));
    const meansOf = (policy: typeof raw) => {
      const forward = createForward(policy, parameters, 2);
      forward.observations.set([1, 2, 3, 4, -4, -3, -2, -1]);
      forward.run();
      const means = Array.from(forward.distribution);
      forward[Symbol.dispose]();
      return means;
    };
    const [half, middle] = [
      [50, 0.5, 1],
      [50, 0, 0],
    ];
    const entropy = evaluate((t) => rescaled.entropy(t.mean), {
      mean: numbers([2, 3], { seed: 1 }),
      [LOG_DEVIATION]: of([1, 3], deviations.map(Math.log)),
    });
    expectClose(entropy, [3 * (Math.log(0.5) + 0.5 * Math.log(2 * Math.PI * Math.E))], 2e-6); // whatever the ranges
    const expected = meansOf(raw).map((mean, i) => expect.closeTo(mean * half[i % 3] + middle[i % 3], 4));
    expect(meansOf(rescaled)).toEqual(expected);
  });

  it('has the entropy Σ log σ + ½ log 2πe, and its gradient', () => {
    const expected = deviations.reduce((s, d) => s + Math.log(d) + 0.5 * Math.log(2 * Math.PI * Math.E), 0);
    expectClose(
      evaluate((t) => policy.entropy(t.mean), inputs),
      [expected],
      2e-6,
    );
    checkGradient((t) => policy.entropy(t.mean), inputs, { symbols: false, wrt: [LOG_DEVIATION] });
  });

  it('samples what it says, with the log-probability of it', () => {
    const rows = 20_000;
    const mean = Float32Array.from({ length: 2 * rows }, (_, i) => [0.5, -1][i % 2]);
    const actions = new Float32Array(2 * rows);
    const logProbs = new Float32Array(rows);
    sampleActions(policy, mean, Float32Array.from(inputs[LOG_DEVIATION].data), random(0), actions, logProbs);
    for (const j of [0, 1]) {
      const drawn = Array.from({ length: rows }, (_, i) => actions[2 * i + j]);
      const average = drawn.reduce((a, b) => a + b, 0) / rows;
      const deviation = Math.sqrt(drawn.reduce((a, b) => a + (b - average) ** 2, 0) / rows);
      expect(Math.abs(average - mean[j]) / deviations[j]).toBeLessThan(0.03);
      expect(Math.abs(deviation / deviations[j] - 1)).toBeLessThan(0.03);
    }
    const few = { mean: of([5, 2], [...mean.subarray(0, 10)]), actions: of([5, 2], [...actions.subarray(0, 10)]) };
    expectClose(evaluate(logProbability, { ...inputs, ...few }), logProbs.subarray(0, 5), 5e-6);
    const encoded = new Float32Array(4);
    encodeAction(policy, actions, 2, encoded, 2);
    expect(encoded).toEqual(Float32Array.of(0, 0, actions[2], actions[3]));
  });

  it('acts by its mean when greedy', () => {
    const actions = new Float32Array(2);
    greedyActions(policy, Float32Array.of(0.25, 9), actions);
    expect(actions).toEqual(Float32Array.of(0.25, 9)); // the environment clips
  });
});

describe('a categorical policy', () => {
  const policy = createPolicyNetwork(4, discrete, network);
  const probabilities = [
    [0.2, 0.5, 0.3],
    [0.7, 0.1, 0.2],
  ];
  const inputs = {
    logProbs: of([2, 3], probabilities.flat().map(Math.log)),
    chosen: of([2, 3], [0, 1, 0, 0, 0, 1]),
  };

  it('has the log-probability of the chosen and the entropy −Σ p log p, and their gradients', () => {
    const logProbability = (t: Parameters<Parameters<typeof evaluate>[0]>[0]) =>
      policy.logProbability(t.logProbs, t.chosen);
    expectClose(evaluate(logProbability, inputs), [Math.log(0.5), Math.log(0.2)], 1e-6);
    checkGradient(logProbability, inputs, { symbols: false, wrt: ['logProbs'] });
    const entropies = probabilities.map((row) => -row.reduce((s, p) => s + p * Math.log(p), 0));
    expectClose(
      evaluate((t) => policy.entropy(t.logProbs), inputs),
      entropies,
      1e-6,
    );
    checkGradient((t) => policy.entropy(t.logProbs), inputs, { symbols: false, wrt: ['logProbs'] });
  });

  it('samples each action as often as it says, with its log-probability', () => {
    const rows = 20_000;
    const distribution = Float32Array.from({ length: 3 * rows }, (_, i) => Math.log(probabilities[0][i % 3]));
    const actions = new Float32Array(rows);
    const logProbs = new Float32Array(rows);
    sampleActions(policy, distribution, undefined, random(0), actions, logProbs);
    probabilities[0].forEach((p, a) => {
      expect(Math.abs(actions.filter((action) => action === a).length / rows - p)).toBeLessThan(0.01);
    });
    expect(logProbs.every((logProb, i) => logProb === distribution[actions[i]])).toBe(true);
    const encoded = new Float32Array(3);
    encodeAction(policy, Float32Array.of(0, 2), 1, encoded, 0);
    expect(encoded).toEqual(Float32Array.of(0, 0, 1));
  });

  it('takes the likeliest when greedy, the first of equals', () => {
    const actions = new Float32Array(3);
    greedyActions(policy, Float32Array.of(-2, -1, -3, -1, -1, -1, -9, -8, -7), actions);
    expect(actions).toEqual(Float32Array.of(1, 0, 2));
  });

  it('is nearly uniform at first, whatever it sees', () => {
    const parameters = createParameters(policy.parameters, random(0));
    const forward = createForward(policy, parameters, 10);
    forward.observations.set(numbers([10, 4], { low: -3, high: 3 }).data);
    forward.run();
    for (const logProb of forward.distribution) expect(Math.exp(logProb)).toBeCloseTo(1 / 3, 1);
    forward[Symbol.dispose]();
    parameters[Symbol.dispose]();
  });
});

it('explores every action alike', () => {
  const actions = new Float32Array(4000);
  const spaces = { observationSpace: box, actionSpace: discrete };
  uniformActions(spaces, random(0), new Float32Array(8000), actions);
  for (const a of [0, 1, 2]) expect(actions.filter((x) => x === a).length / 4000).toBeCloseTo(1 / 3, 1);
  uniformActions({ ...spaces, actionSpace: box }, random(0), actions, actions);
  for (const j of [0, 1]) {
    const drawn = [...actions].filter((_, i) => i % 2 === j);
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(box.low[j]);
    expect(Math.max(...drawn)).toBeLessThanOrEqual(box.high[j]);
    expect(drawn.reduce((a, b) => a + b, 0) / 2000).toBeCloseTo((box.low[j] + box.high[j]) / 2, 0);
  }
});

it('random actions without bounds are from −1 to 1', () => {
  const largest = 3.4028234663852886e38; // of float32
  const low = Float32Array.of(Number.NEGATIVE_INFINITY, -largest, 0);
  const high = Float32Array.of(Number.POSITIVE_INFINITY, largest, Number.POSITIVE_INFINITY);
  const actions = new Float32Array(3000);
  const actionSpace: Space = { kind: 'box', low, high };
  uniformActions({ observationSpace: box, actionSpace }, random(0), actions, actions);
  expect(Math.min(...actions)).toBeCloseTo(-1, 2);
  expect(Math.max(...actions)).toBeCloseTo(1, 2);
});
