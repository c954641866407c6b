import { expect, it } from 'vitest';
import { createArena } from '../../nn/parameters.ts';
import { createLoop, heldOutOf } from './loop.ts';
import { adamw } from './steps.ts';

const options = {
  schedule: 'constant' as const,
  minimumRate: 0,
  warmup: 0,
  weightDecay: 0,
  beta2: 0.95,
  maxGradientNorm: 0,
  evaluations: 6,
  learningRate: 0.1,
  patience: 2,
};
const specs = [{ name: 'x', shape: [1], initialize() {} }];

/** A training of one number, whose evaluations have these losses. */
function loopOf(losses: readonly number[], patience = options.patience) {
  const parameters = createArena(specs);
  const gradients = createArena(specs);
  const optimizer = adamw(parameters, gradients, options);
  const rows = [1, 2, 3];
  const loop = createLoop({
    options: { ...options, patience },
    usualRate: 1,
    steps: 6,
    fingerprint: 'abc',
    what: 'rows',
    trained: [{ parameters, optimizer }],
    more: {},
    async learn(_, rate) {
      gradients.values.x.data[0] = 1;
      await optimizer.stepFreely(rate);
      return { loss: 1, tokens: 4 };
    },
    heldOut: heldOutOf(rows, [1, 1, 1], (indices) => indices.map((i) => rows[i]), {
      parameters: 1,
      work: 1000,
      options: { evaluations: 6, seed: 0 },
    }),
    measure: async (): Promise<{ best: boolean; loss?: number }> => ({
      loss: losses[loop.state().step - 1],
      best: false,
    }),
    unit: 'rows evaluated',
    onProgress: undefined,
  });
  return { loop, x: () => parameters.values.x.data[0] };
}

async function finish({ loop }: ReturnType<typeof loopOf>) {
  const steps = [];
  do steps.push(await loop.next());
  while (!steps.at(-1)!.done);
  return steps;
}

// transformers #28544: the counter began anew with each resume, so a run in pieces never stopped early
it('stops after the same evaluations when it is resumed', async () => {
  const losses = [3, 2, 2.5, 2.6, 1, 1];
  const whole = loopOf(losses);
  expect(await finish(whole)).toHaveLength(4);
  const first = loopOf(losses);
  for (let i = 0; i < 3; i++) await first.loop.next();
  const resumed = loopOf(losses);
  resumed.loop.restore(structuredClone(first.loop.save()));
  expect(await finish(resumed)).toHaveLength(1);
  expect(resumed.x()).toBe(whole.x());
});

// early-stopping-pytorch #28, unsloth-zoo #822: NaN counted as an improvement, or nothing was better than it later
it('takes no evaluation without a number for the best one', async () => {
  const steps = await finish(loopOf([Number.NaN, 2, Number.NaN, 1, 3, 1], 0));
  expect(steps.map(({ evaluation }) => evaluation!.best)).toEqual([false, true, false, true, false, false]);
});

it('names the data that a run did not begin with', async () => {
  const { loop } = loopOf([1]);
  const { state, tensors } = loop.save();
  const other = { state: { ...(state as object), fingerprint: 'def' }, tensors };
  expect(() => loop.restore(other)).toThrow('the rows are not those that the run began with');
});
