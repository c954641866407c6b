import { describe, expect, it } from 'vitest';
import { checkpointOf, ownData, plain, smallModel, take } from '../../../test/support/training.ts';
import { type CurrentJudgment, choices, type PairJudgment, type Teacher } from '../../preference/index.ts';
import { createGrpo } from '../policy-gradient/grpo.ts';
import { createLanguagePpo } from '../ppo/learner.ts';
import { createOnlineDpo } from '../preferences/online-dpo.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { openReward } from '../rewards/open.ts';

const { folder, dataOf } = ownData();
const data = dataOf(['red', 'blue sun', 'the moon is', 'a cat'].map((prompt) => ({ prompt })));
const settings = {
  model: smallModel(),
  reward: smallModel('tiny-llama-rm'),
  data,
  evaluation: { data },
  steps: 6,
  batch: 4,
  maxTokens: 6,
  evaluations: 1,
  learningRate: 1e-3,
  askPeople: true,
  people: { labels: 24, ahead: 0, schedule: { rounds: 2 }, learningRate: 0.01, epochs: 8 },
};

/** What there is to learn: the more tokens are of the first half of the vocabulary, the better. */
const low = ({ response }: Completion) => response.filter((id) => id < 256).length / response.length;
const better = ([first, second]: readonly [Completion, Completion]): PairJudgment =>
  low(first) === low(second) ? choices.tie : low(first) > low(second) ? choices.first : choices.second;

/** Somebody who comes to a question after a while. What they take back is not learned, or no more. */
function somebody(takenBack: ReadonlySet<string> = new Set(), choose = better): Teacher<Completion> {
  return {
    name: 'somebody',
    later: true,
    async *answer(questions) {
      for (const { id, options } of questions) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        yield { id, choice: choose(options) };
      }
    },
    changed: async (learned) =>
      new Map(
        [...learned].flatMap(([id, choice]): [string, CurrentJudgment][] =>
          takenBack.has(id) && choice !== 'taken back' ? [[id, 'taken back']] : [],
        ),
      ),
  };
}

const tensorsOf = (learner: Parameters<typeof checkpointOf>[0]) =>
  Object.entries(checkpointOf(learner).tensors).filter(([name]) => name.startsWith('reward.'));

describe('people who compare the completions of a policy in training', () => {
  it.each([
    ['PPO', createLanguagePpo],
    ['GRPO', createGrpo],
    ['online DPO', createOnlineDpo],
  ])('teach the reward of %s', async (_, create) => {
    using learner = await create({ ...settings, teacher: somebody() });
    const steps = await take(learner, 2);
    expect(steps[0]).toMatchObject({ metrics: { labels: 0, waiting: 8 }, compared: [] });
    expect(steps[1].metrics).toMatchObject({ labels: 8, waiting: 0, 'reward/foreseen': expect.any(Number) });
    expect(steps[1].metrics['reward/train_accuracy']).toBeGreaterThan(0.8);
    expect(steps[1].compared!.map(({ id }) => id)).toEqual(Array.from({ length: 8 }, (_, i) => `q${i}`));
  });

  it('teach for as long as it lasts, and a resumed training equals an uninterrupted one', async () => {
    const whole = await createGrpo({ ...settings, teacher: somebody() });
    await take(whole, 2);
    const checkpoint = checkpointOf(whole);
    const rest = await take(whole, 4);
    expect(rest.map(({ metrics: { labels, waiting } }) => [labels, waiting])).toEqual([
      [8, 8],
      [16, 0],
      [16, 8],
      [24, 0],
    ]);

    const resumed = await createGrpo({ ...settings, teacher: somebody() });
    resumed.restore(checkpoint);
    expect(plain(await take(resumed, 4))).toEqual(plain(rest));
    expect(checkpointOf(resumed).tensors).toEqual(checkpointOf(whole).tensors);
    for (const learner of [whole, resumed]) learner[Symbol.dispose]();
  });

  it('teach the reward model, which keeps the mean and deviation of rewards of the first completions', async () => {
    const learner = await createLanguagePpo({ ...settings, teacher: somebody() });
    const begun = await openReward(settings.reward);
    await take(learner, 2);
    const { asking } = checkpointOf(learner).state as { asking: { reward: { references: Completion[] } } };
    learner.asking!.saveModels(`${folder}/reward`);
    const taught = await openReward(`${folder}/reward`);
    const [before, after] = await Promise.all(
      [begun, taught].map(async (reward) => Array.from(await reward.score(asking.reward.references))),
    );
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const deviation = (values: number[]) => Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));
    expect(after).not.toEqual(before);
    expect(mean(after)).toBeCloseTo(mean(before), 4);
    expect(deviation(after)).toBeCloseTo(deviation(before), 4);
    for (const part of [learner, begun, taught]) part[Symbol.dispose]();
  });

  it('may withdraw a judgment: the reward is as if it had never been made', async () => {
    const takenBack = new Set<string>();
    const learner = await createLanguagePpo({ ...settings, teacher: somebody(takenBack) });
    await take(learner, 2);
    const wrong = tensorsOf(learner);
    takenBack.add('q2');
    const [{ metrics, compared }] = await take(learner, 1);
    expect(metrics.labels).toBe(7);
    expect(compared).toContainEqual(expect.objectContaining({ id: 'q2', choice: 'taken back' }));
    expect(tensorsOf(learner)).not.toEqual(wrong);

    const other = await createLanguagePpo({ ...settings, teacher: somebody() });
    const { state, tensors } = checkpointOf(learner);
    other.restore({ state: structuredClone(state), tensors });
    expect(tensorsOf(other)).toEqual(tensorsOf(learner));
    for (const one of [learner, other]) one[Symbol.dispose]();
  });

  it('who find nothing comparable teach nothing', async () => {
    const learner = await createLanguagePpo({ ...settings, teacher: somebody(new Set(), () => 'incomparable') });
    const steps = await take(learner, 4);
    expect(steps.at(-1)!.metrics.labels).toBe(16);
    expect(steps.at(-1)!.metrics).not.toHaveProperty('reward/foreseen');
    learner[Symbol.dispose]();
  });

  it('get no queries where nothing could be learned from them', async () => {
    const learner = (input: object, teacher?: Teacher<Completion>) =>
      createLanguagePpo({ ...settings, ...input, teacher });
    await expect(learner({})).rejects.toThrow('no teacher to judge');
    await expect(learner({ reward: 'judge.mjs' }, somebody())).rejects.toThrow('"judge.mjs" is a function');
    await expect(learner({ reward: 'reviews' }, somebody())).rejects.toThrow('true reward of the embedded world');
    await expect(learner({ reward: '0.5*a + b' }, somebody())).rejects.toThrow('is a sum');
    await expect(learner({ people: { query: { rule: 'disagreement' } } }, somebody())).rejects.toThrow(
      'One reward model',
    );
  });
});
