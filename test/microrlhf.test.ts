/** examples/microrlhf.ts: it learns, and its losses are heed's. */
import { expect, it } from 'vitest';
import * as micro from '../examples/microrlhf.ts';
import { type DpoLossOptions, dpoLoss } from '../src/align/preferences/dpo-loss.ts';
import type { Completions } from '../src/align/preferences/loss.ts';
import { gradients, input, mean, type Tensor, trace } from '../src/engine/index.ts';
import { concat } from '../src/engine/ops/shape.ts';
import { policyLoss } from '../src/nn/ppo-loss.ts';
import { choiceLosses } from '../src/preference/choice-loss.ts';
import { random } from '../src/random.ts';
import { runExample } from './support/example.ts';

const COUNT = 32;
const draws = random(0, 'microrlhf');
/** Numbers that float32 holds exactly, so that both sides see the same. */
const draw = (low: number, high: number) =>
  Array.from({ length: COUNT }, () => Math.fround(low + (high - low) * draws.uniform()));

type Numbers = Record<string, number[]>;

/** heed's loss of these numbers, and its gradients with respect to `wanted`. */
function heedLoss(data: Numbers, wanted: string[], build: (t: Record<string, Tensor>) => Tensor): number[] {
  const program = trace((graph) => {
    const tensors = Object.fromEntries(Object.keys(data).map((name) => [name, input(graph, name, [COUNT])]));
    const loss = build(tensors);
    const slopes = gradients(
      loss,
      wanted.map((name) => tensors[name]),
    );
    return { loss, ...Object.fromEntries(wanted.map((name, i) => [`d ${name}`, slopes[i]])) };
  });
  const out = program.run(data) as Record<string, Float32Array>;
  const result = ['loss', ...wanted.map((name) => `d ${name}`)].flatMap((name) => [...out[name]]);
  program[Symbol.dispose]();
  return result;
}

/** The same of microrlhf. */
function microLoss(
  data: Numbers,
  wanted: string[],
  build: (m: Record<string, micro.Matrix>) => micro.Matrix,
): number[] {
  const matrices = Object.fromEntries(Object.entries(data).map(([name, numbers]) => [name, micro.column(numbers)]));
  const loss = build(matrices);
  micro.backward(loss);
  return [loss.data[0], ...wanted.flatMap((name) => [...matrices[name].gradient])];
}

function expectEqual(actual: number[], expected: number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, x] of actual.entries()) expect(Math.abs(x - expected[i]), `number ${i}`).toBeLessThan(1e-6);
}

it('has the loss and gradients of heed’s reward model', () => {
  const data = { chosen: draw(-3, 3), rejected: draw(-3, 3), p: Array(COUNT).fill(1), q: Array(COUNT).fill(0) };
  const wanted = ['chosen', 'rejected'];
  const model = { kind: 'bradley-terry', scale: 1, discount: 1, errorRate: 0 } as const;
  expectEqual(
    microLoss(data, wanted, ({ chosen, rejected }) => micro.rewardLoss(chosen, rejected)),
    heedLoss(data, wanted, ({ chosen, rejected, p, q }) => mean(choiceLosses(model, chosen, rejected, p, q))),
  );
});

it('has the loss and gradients of heed’s PPO, clipped and not', () => {
  const data = { logProbs: draw(-3, 0), oldLogProbs: draw(-3, 0), advantages: draw(-2, 2) };
  const ratios = data.logProbs.map((logP, i) => Math.exp(logP - data.oldLogProbs[i]));
  expect(ratios.some((ratio, i) => ratio > 1.2 && data.advantages[i] > 0)).toBe(true);
  expect(ratios.some((ratio, i) => ratio < 0.8 && data.advantages[i] < 0)).toBe(true);
  const wanted = ['logProbs'];
  expectEqual(
    microLoss(data, wanted, (m) => micro.ppoLoss(m.logProbs, m.oldLogProbs, m.advantages, 0.2)),
    heedLoss(
      data,
      wanted,
      ({ logProbs, oldLogProbs, advantages }) => policyLoss({ logProbs, oldLogProbs, advantages }, 0.2).loss,
    ),
  );
});

it('has the loss and gradients of heed’s DPO', () => {
  const data = {
    chosen: draw(-20, 0),
    rejected: draw(-20, 0),
    chosenReference: draw(-20, 0),
    rejectedReference: draw(-20, 0),
  };
  const wanted = ['chosen', 'rejected'];
  const options: DpoLossOptions = {
    losses: ['sigmoid'],
    beta: 0.1,
    labelSmoothing: 0,
    divergence: 'reverse_kl',
    alpha: 0.5,
    temperature: 0.05,
    weighting: false,
  };
  expectEqual(
    microLoss(data, wanted, (m) => micro.dpoLoss(m.chosen, m.rejected, m.chosenReference, m.rejectedReference, 0.1)),
    heedLoss(data, wanted, ({ chosen, rejected, chosenReference, rejectedReference }) => {
      const completions = {
        logP: concat([chosen, rejected], 0),
        reference: concat([chosenReference, rejectedReference], 0),
      } as Completions; // this loss reads no more
      return mean(dpoLoss(options)(completions).loss);
    }),
  );
});

it('teaches a model to write what the reader likes, in 300 lines without an import', { tags: 'proof' }, async () => {
  const printed = await runExample('microrlhf.ts', { lines: 300 });
  const [untrained, demonstrations, , reward, , ppo, , dpo] = printed.trim().split('\n');
  const worth = (line: string) => Number(/reader +(-?[\d.]+)/.exec(line)![1]);
  expect(worth(untrained)).toBeCloseTo(0, 0);
  expect(Math.abs(worth(demonstrations))).toBeLessThan(0.5);
  expect(Number(/loss ([\d.]+)/.exec(reward)![1])).toBeLessThan(0.6);
  for (const line of [ppo, dpo]) {
    expect(worth(line)).toBeGreaterThan(worth(demonstrations) + 0.5);
    expect(Number(/KL ([\d.]+)/.exec(line)![1])).toBeLessThan(4);
    expect(line).toMatch(/“the (cat|dog|owl|fox) is [a-z .]+”/);
  }
});
