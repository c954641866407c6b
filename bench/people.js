/** People inside a training: how long they wait for it, and what asking them on the way is worth. */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPpo, createReward, createSft } from '../dist/align/index.js';
import { reviewComparisons } from '../dist/align/world/comparisons.js';
import { reviewReward } from '../dist/align/world/rewards.js';
import { createClient } from '../dist/feedback/index.js';
import { loadModel } from '../dist/lm/index.js';
import { parseTeacher } from '../dist/preference/index.js';

export const people = { sections: { latency, online } };

const at = (values, share) => values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))];
const ms = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

/** The next item and a vote, again and again, while a policy is trained in the same process. */
async function* latency() {
  for (const threaded of [false, true]) {
    const took = { next: [], vote: [] };
    const child = fork(new URL('./people-job.js', import.meta.url), [JSON.stringify({ threaded, steps: 6 })]);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    let done = false;
    const place = await new Promise((resolve) => child.once('message', resolve));
    child.once('message', () => {
      done = true;
    });
    const studio = createClient(place);
    const timed = async (name, call) => {
      const began = performance.now();
      const result = await call();
      took[name].push(performance.now() - began);
      return result;
    };
    while (!done) {
      const [{ item }] = await timed('next', () => studio.next('people', 1));
      const vote = { id: crypto.randomUUID(), item: item.id, vote: { kind: 'pair', choice: 'first' } };
      await timed('vote', () => studio.judge('people', vote));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    child.send('close');
    await ended;
    for (const [name, all] of Object.entries(took)) {
      yield {
        name: `${name} while PPO trains, the studio ${threaded ? 'in a thread of its own' : 'in its thread'}`,
        value: `p99 ${ms(at(all, 0.99))}`,
        target: threaded ? '≤ 100 ms' : '',
        note: `median ${ms(at(all, 0.5))}, n = ${all.length}`,
      };
    }
  }
}

const FIRST = 100;
const LATER = 100;
const STEPS = 24;

/** PPO on a reward model from 200 comparisons, or from 100 with 100 more about its own answers on the way; one in ten is wrong. */
async function* online({ seeds }) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  try {
    const model = join(folder, 'sft');
    await finished(createSft({ epochs: 2, evaluations: 0, samples: { count: 0 } }), (learner) =>
      learner.saveModel(model),
    );
    const found = { fixed: [], asked: [] };
    for (let seed = 0; seed < Math.min(seeds, 3); seed++) {
      const drawn = await loadModel(model);
      const options = { comparisons: FIRST + LATER, teacher: 'mistake:0.1', seed: 100 + seed };
      const rows = await reviewComparisons(drawn, options);
      drawn.parameters[Symbol.dispose]();
      const [few, all] = [join(folder, `few-${seed}`), join(folder, `all-${seed}`)];
      await rewardModel(model, rows.slice(0, FIRST), few, seed);
      await rewardModel(model, rows, all, seed);
      const people = { labels: LATER, ahead: 0, comparisons: `${few}.jsonl`, schedule: { rounds: 6 } };
      const own = { askPeople: true, people };
      const each = {
        fixed: await trained({ model, reward: all, seed }),
        asked: await trained({ model, reward: few, seed, ...own }, person(seed)),
      };
      for (const [arm, result] of Object.entries(each)) {
        found[arm].push(result);
        yield {
          name: `seed ${seed}, ${arm === 'fixed' ? `a fixed reward of ${FIRST + LATER} comparisons` : `${FIRST} comparisons and ${LATER} on the way`}`,
          value: `true reward ${result.reward.toFixed(2)}`,
          note: `KL ${result.kl.toFixed(1)}${result.accuracy === undefined ? '' : `, ${result.labels} labels, ${(100 * result.accuracy).toFixed(0)} % foreseen`}`,
        };
      }
    }
    const mean = (arm) => found[arm].reduce((sum, { reward }) => sum + reward, 0) / found[arm].length;
    yield { name: 'mean gain of asking on the way', value: (mean('asked') - mean('fixed')).toFixed(2), target: '> 0' };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function finished(made, use) {
  const learner = await made;
  for (let done = false; !done; ) ({ done } = await learner.next());
  use(learner);
  learner[Symbol.dispose]();
}

async function rewardModel(model, rows, folder, seed) {
  const data = `${folder}.jsonl`;
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  await finished(createReward({ model, data, seed, evaluations: 0 }), (learner) => learner.saveModels(folder));
}

/** Somebody who goes by the true reward, as `mistake:0.1` does. */
function person(seed) {
  const truth = reviewReward();
  const teacher = parseTeacher('mistake:0.1', seed);
  return {
    name: 'script',
    later: true,
    async *answer(questions, signal) {
      const rewards = await truth.score(questions.flatMap(({ options }) => options));
      const asked = questions.map(({ id }, i) => ({
        id,
        options: [0, 1].map((side) => ({ rewards: [rewards[2 * i + side]] })),
      }));
      yield* teacher.answer(asked, signal);
    },
  };
}

async function trained(settings, teacher) {
  const sizes = { steps: STEPS, batch: 32, maxTokens: 72, kl: { target: 8 }, ppo: { minibatch: 16 }, evaluations: 1 };
  const learner = await createPpo({ ...sizes, ...settings, teacher });
  let labels;
  let accuracy;
  for (;;) {
    const { metrics, evaluation, done } = await learner.next();
    ({ labels, 'reward/accuracy': accuracy = accuracy } = metrics);
    if (!done) continue;
    learner[Symbol.dispose]();
    return { reward: evaluation.measures['reward/true'], kl: evaluation.kl, labels, accuracy };
  }
}
