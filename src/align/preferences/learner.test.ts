import { describe, expect, it } from 'vitest';
import { checkpointOf, fixtureModel, ownData, plain, smallModel, take } from '../../../test/support/training.ts';
import { random } from '../../random.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import { createBco } from './bco.ts';
import { createDpo, type DpoInput, dpo } from './dpo.ts';
import { metricsOf } from './evaluation.ts';
import { createKto } from './kto.ts';
import type { PreferenceLearner, PreferenceStep } from './learner.ts';
import { createOrpo } from './orpo.ts';

const { dataOf } = ownData();

const draws = random(0, 'data');
const words = ['red', 'blue', 'sun', 'moon', 'cat', 'dog'];
const some = (of: string[]) => Array.from({ length: 2 + draws.integer(4) }, () => of[draws.integer(3)]).join(' ');
/** Red, blue and sun are preferred. */
const rowsOf = (length: number) =>
  Array.from({ length }, (_, i) => ({
    prompt: `Say ${i % (length / 3)}:`,
    chosen: ` ${some(words.slice(0, 3))}`,
    rejected: ` ${some(words.slice(3))}`,
  }));
const pairs = dataOf(rowsOf(24));

const settings = {
  model: smallModel(),
  data: pairs,
  batch: 6,
  part: 3,
  steps: 4,
  evaluations: 1,
  evaluation: { share: 0.25, prompts: 2, samples: 1, maxTokens: 4 },
};

const weights = ({ policy }: PreferenceLearner) => Array.from(policy.parameters.flat);

it('learns which completions are preferred, held-out ones too, and moves away from the reference', async () => {
  const steps: PreferenceStep[] = [];
  const input: DpoInput = { ...settings, steps: 12, learningRate: 2e-3, evaluations: 2 };
  for await (const step of dpo(input)) steps.push(step);
  expect(steps).toHaveLength(12);
  expect(steps[0].loss).toBeCloseTo(Math.log(2), 5);
  expect(steps[0].metrics['rewards/chosen']).toBeCloseTo(0, 5);
  const evaluated = steps.flatMap(({ step, evaluation }) => (evaluation ? [{ at: step, ...evaluation }] : []));
  expect(evaluated.map(({ at }) => at)).toEqual([6, 12]);
  const last = evaluated.at(-1)!;
  expect(last.loss).toBeLessThan(0.4);
  expect(last.metrics['rewards/accuracies']).toBe(1);
  expect(last.metrics['rewards/margins']).toBeGreaterThan(0.5);
  expect(last.kl).not.toBe(0);
  expect(last.reward).toBeUndefined();
  expect(last.samples).toEqual([
    { prompt: expect.stringMatching(/^Say \d:$/), text: expect.any(String), kl: expect.any(Number) },
  ]);
  expect(last.best).toBe(true);
  expect(steps.at(-1)!.done).toBe(true);
});

it('counts half of a pair whose completions have the same reward', () => {
  const rewards = Float32Array.of(1, 0, 2, 0, 0, 1); // chosen, then rejected
  const { 'rewards/accuracies': accuracy } = metricsOf({}, [0, 1, 2], { loss: 0, rewards, logP: rewards });
  expect(accuracy).toBeCloseTo(2.5 / 3, 12);
});

describe('with a maximum KL', () => {
  const maxKl = 4;
  const far = {
    ...settings,
    data: dataOf(rowsOf(96)),
    batch: 12,
    steps: 30,
    learningRate: 3e-2,
    evaluation: { ...settings.evaluation, prompts: 24, maxTokens: 8 },
  };

  it('rolls a policy that jumps back, and ends near the maximum', async () => {
    const notices: string[] = [];
    const [held, free] = await Promise.all(
      [maxKl, 0].map(async (maxKl) => {
        const learner = await createOrpo({ ...far, maxKl, onNotice: (text) => notices.push(text) });
        const steps = await take(learner, far.steps);
        learner[Symbol.dispose]();
        return steps;
      }),
    );
    expect(free.at(-1)!.evaluation!.kl).toBeGreaterThan(3 * maxKl);
    expect(held.at(-1)!.evaluation!.kl).toBeLessThan(1.2 * maxKl);
    const { 'kl/rolled_back': rollbacks } = held.at(-1)!.metrics;
    expect(rollbacks).toBeGreaterThan(0);
    const back = notices.filter((text) => !text.includes('are learned'));
    expect(back).toHaveLength(rollbacks);
    expect(back[0]).toMatch(
      /^step \d+: the KL is [\d.]+ nats, and --max-kl is 4; the policy goes back to that of step \d/,
    );
    expect(free.at(-1)!.metrics).not.toHaveProperty('kl/rolled_back');
  });

  it('resumes after a rollback bit for bit', async () => {
    const create = (): Promise<PreferenceLearner> => createOrpo({ ...far, maxKl });
    const whole = await create();
    const checkpoints = [];
    let rollbacks = 0;
    while (rollbacks === 0) {
      checkpoints.push(checkpointOf(whole));
      const { metrics } = await whole.next();
      rollbacks = metrics['kl/rolled_back'] ?? 0;
    }
    const later = checkpointOf(whole);
    const after = plain(await take(whole, 3));
    // from before the rollback and from after it
    for (const [checkpoint, skipped] of [
      [checkpoints.at(-1)!, 1],
      [later, 0],
    ] as const) {
      const resumed = await create();
      resumed.restore(checkpoint);
      await take(resumed, skipped);
      expect(plain(await take(resumed, 3))).toEqual(after);
      expect(weights(resumed)).toEqual(weights(whole));
      resumed[Symbol.dispose]();
    }
    whole[Symbol.dispose]();
  });
});

const algorithms: Record<string, (more?: object, live?: object) => Promise<PreferenceLearner>> = {
  dpo: (more, live) => createDpo({ ...settings, ...more, ...live }),
  'dpo with adapters': (more, live) => createDpo({ ...settings, lora: { rank: 2 }, ...more, ...live }),
  'dpo of several losses': (more, live) =>
    createDpo({ ...settings, loss: 'ipo, sft', lossWeights: [1, 0.5], lengthAlpha: 0.5, ...more, ...live }),
  orpo: (more, live) => createOrpo({ ...settings, ...more, ...live }),
  kto: (more, live) => createKto({ ...settings, ...more, ...live }),
  bco: (more, live) => createBco({ ...settings, ...more, ...live }),
};

it.each(Object.keys(algorithms).filter((name) => name !== 'dpo'))(
  '%s goes on from any step as if it had never stopped, bit for bit',
  async (name) => {
    const create = algorithms[name];
    const whole = await create();
    await take(whole, 2);
    const checkpoint = checkpointOf(whole);
    const after = await take(whole, 2);
    const resumed = await create();
    resumed.restore(checkpoint);
    expect(plain(await take(resumed, 2))).toEqual(plain(after));
    expect(weights(resumed)).toEqual(weights(whole));
    expect(after.at(-1)!.evaluation!.loss).toBeDefined();
    for (const learner of [whole, resumed]) learner[Symbol.dispose]();
  },
);

it.each(['dpo', 'kto'])('%s is the same with the reference computed at each step', async (name) => {
  const learners = [await algorithms[name](), await algorithms[name]({ precompute: false })];
  const [before, each] = await Promise.all(learners.map((learner) => take(learner, 2)));
  for (const [i, { loss }] of each.entries()) expect(loss).toBeCloseTo(before[i].loss, 6);
  for (const learner of learners) learner[Symbol.dispose]();
});

it('holds the policy to another reference, of the same tokens only', async () => {
  const learner = await algorithms.dpo({ reference: smallModel('tiny-llama-rm') });
  const [{ metrics }] = await take(learner, 1);
  expect(Math.abs(metrics['rewards/chosen'])).toBeGreaterThan(0.1);
  learner[Symbol.dispose]();
  await expect(algorithms.dpo({ reference: fixtureModel('tiny-qwen2') })).rejects.toThrow(/a different vocabulary/);
});

it('reports the reward of completions', async () => {
  let scored = 0;
  const reward: Reward = {
    name: 'letters',
    score: async (completions) => {
      scored += completions.length;
      return completions.map(({ text }) => text.length);
    },
  };
  const learner = await algorithms.dpo({}, { reward });
  const before = await learner.evaluate();
  expect(before).toMatchObject({ reward: expect.any(Number), loss: expect.closeTo(Math.log(2), 5) });
  expect(Math.abs(before.kl!)).toBeLessThan(1e-4);
  expect(learner.before()).toEqual({ reward: before.reward });
  expect(before.samples[0].reward).toBe(before.samples[0].text.length);
  expect(scored).toBe(2);
  learner[Symbol.dispose]();
});

it('learns prompts with ORPO only if that is asked for', async () => {
  const rows = rowsOf(24);
  const longer = dataOf(rows.map(({ prompt, ...rest }) => ({ prompt: `${prompt} ${'dog '.repeat(5)}`, ...rest })));
  const losses = [];
  for (const more of [{ data: longer }, { data: longer, learnPrompts: true }]) {
    const learner = await algorithms.orpo(more);
    const { logP, loss } = await take(learner, 1).then(([{ metrics, loss }]) => ({
      logP: metrics['logps/chosen'],
      loss,
    }));
    losses.push({ logP, loss });
    learner[Symbol.dispose]();
  }
  const [completions, all] = losses;
  expect(all.logP).toBeCloseTo(completions.logP, 4); // the reward of a completion is the same
  expect(Math.abs(all.loss - completions.loss)).toBeGreaterThan(0.01);
});

it('takes batches no larger than the data, in parts that divide them', async () => {
  const learner = await algorithms.dpo({
    batch: 64,
    part: 5,
    steps: undefined,
    epochs: 2,
    evaluation: { share: 0, prompts: 0 },
  });
  expect(learner.steps).toBe(2);
  const [, { evaluation, done }] = await take(learner, 2);
  expect(done).toBe(true);
  expect(evaluation).toEqual({ metrics: {}, items: 24, samples: [], best: false });
  learner[Symbol.dispose]();
});

it('stops once held-out preferences are no longer predicted better', async () => {
  // learned one way, held out the other way
  const rows = Array.from({ length: 12 }, (_, i) => ({
    prompt: `Say ${i}:`,
    chosen: ' dog moon',
    rejected: ' red sun',
  }));
  const steps: PreferenceStep[] = [];
  const input = { ...settings, steps: 40, evaluations: 40, patience: 3, learningRate: 2e-3 };
  for await (const step of dpo({ ...input, evaluation: { data: dataOf(rows), prompts: 0 } })) steps.push(step);
  expect(steps.length).toBeLessThan(40);
  expect(steps.at(-1)!.done).toBe(true);
});

it('knows its data, and seeds', async () => {
  const [learner, other] = [await algorithms.dpo(), await algorithms.dpo({ seed: 1, evaluation: { share: 0 } })];
  const checkpoint = learner.save();
  expect(() => other.restore(checkpoint)).toThrow(/data are not those/);
  for (const one of [learner, other]) one[Symbol.dispose]();
});

describe('says what is wrong with', () => {
  const one = dataOf([
    { prompt: 'A', completion: ' b', label: true },
    { prompt: 'A', completion: ' c', label: false },
  ]);
  it('completions of one prompt where a KL is needed', async () => {
    await expect(createKto({ ...settings, data: one, evaluation: { share: 0 } })).rejects.toThrow(/the same prompt/);
    const free = { ...settings, data: one, loss: 'apo_zero_unpaired', evaluation: { share: 0 } } as const;
    const learner = await createKto(free);
    learner[Symbol.dispose]();
  });
  it.each<[string, DpoInput, RegExp]>([
    ['a loss that there is not', { ...settings, loss: 'sigmoid,best' }, /expected one or several/],
    ['weights of other losses', { ...settings, loss: 'sigmoid,sft', lossWeights: [1] }, /a weight for each loss/],
    ['exo_pair without smoothing', { ...settings, loss: 'exo_pair' }, /more than 0 with exo_pair/],
    ['a divergence that is another', { ...settings, divergence: 'alpha_divergence', divergenceAlpha: 1 }, /reverse_kl/],
  ])('%s', (_, input, message) => {
    expect(() => createDpo(input)).toThrow(message);
  });
});
