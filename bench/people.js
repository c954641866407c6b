/** People inside a training: how long they wait for it, and what asking them on the way is worth. */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLanguagePpo, createReward, createSft } from '../dist/align/parts.js';
import { reviewComparisons } from '../dist/align/world/comparisons.js';
import { reviewReward } from '../dist/align/world/rewards.js';
import {
  addItems,
  addPerson,
  assignItems,
  countedJudgments,
  createClient,
  createProject,
  openDatabase,
  qualityOf,
  recordJudgment,
  refreshEstimates,
} from '../dist/feedback/index.js';
import { loadModel } from '../dist/lm/index.js';
import { parseTeacher } from '../dist/preference/index.js';
import { random } from '../dist/random.js';
import { judge, openRoom } from '../scripts/open-room.js';

export const people = { sections: { latency, frames, 'ask-people': askPeople, certainty } };

const at = (values, share) => values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))];
const ms = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

/** The next item and a judgment, again and again, while a policy is trained in the same process. */
async function* latency() {
  for (const threaded of [false, true]) {
    const took = { next: [], judgment: [] };
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
      const judgment = { id: crypto.randomUUID(), item: item.id, judgment: { kind: 'pair', choice: 'first' } };
      await timed('judgment', () => studio.judge('people', judgment));
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

/** Comparisons before the training, and as many on the way. */
const BUDGETS = [20, 100];
const STEPS = 24;

/**
 * Gold reward after PPO on a fixed reward model, and on one that learned half of as many comparisons before and half
 * about the policy's own completions while it trains. Annotators go by the true reward; one judgment in ten is wrong.
 */
async function* askPeople({ seeds }) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  try {
    const model = join(folder, 'sft');
    await finished(createSft({ epochs: 2, evaluations: 0, samples: { count: 0 } }), (learner) =>
      learner.saveModel(model),
    );
    for (const half of BUDGETS) yield* askingWith(half, Math.min(seeds, 5), model, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function* askingWith(half, seeds, model, folder) {
  const arms = {
    fixed: `a fixed reward model of ${2 * half} comparisons`,
    asked: `${half} comparisons, and ${half} with --ask-people`,
  };
  const found = { fixed: [], asked: [] };
  for (let seed = 0; seed < seeds; seed++) {
    const drawn = await loadModel(model);
    const options = { comparisons: 2 * half, teacher: 'mistake:0.1', seed: 100 + seed };
    const rows = await reviewComparisons(drawn, options);
    drawn.parameters[Symbol.dispose]();
    const [few, all] = ['few', 'all'].map((name) => join(folder, `${name}-${half}-${seed}`));
    await rewardModel(model, rows.slice(0, half), few, seed);
    await rewardModel(model, rows, all, seed);
    const people = { labels: half, ahead: 0, comparisons: `${few}.jsonl`, schedule: { rounds: 6 } };
    const own = { askPeople: true, people };
    const results = {
      fixed: await trained({ model, reward: all, seed }),
      asked: await trained({ model, reward: few, seed, ...own }, person(seed)),
    };
    for (const [arm, result] of Object.entries(results)) {
      found[arm].push(result);
      yield {
        name: `seed ${seed}, ${arms[arm]}`,
        value: `gold reward ${result.gold.toFixed(2)}, from ${result.before.toFixed(2)}`,
        note: `KL ${result.kl.toFixed(1)}${result.foreseen === undefined ? '' : `, ${result.labels} judgments, ${(100 * result.foreseen).toFixed(0)} % foreseen`}`,
      };
    }
  }
  for (const [arm, results] of Object.entries(found)) {
    const [gold, kl] = ['gold', 'kl'].map((name) => plusMinus(intervalOf(results.map((result) => result[name]))));
    yield { name: arms[arm], value: `gold reward ${gold}`, note: `KL ${kl}, ${results.length} seeds, 95 % intervals` };
  }
  const gains = found.asked.map(({ gold }, i) => gold - found.fixed[i].gold);
  yield {
    name: `gain of asking on the way, ${2 * half} judgments`,
    value: plusMinus(intervalOf(gains)),
    target: '> 0',
  };
}

const plusMinus = ({ mean, half }) => `${mean.toFixed(2)} ± ${half.toFixed(2)}`;

async function finished(made, use) {
  const learner = await made;
  for (let done = false; !done; ) ({ done } = await learner.next());
  await use(learner);
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
  const learner = await createLanguagePpo({ ...sizes, ...settings, teacher });
  const { measures } = await learner.evaluate();
  let labels;
  let foreseen;
  for (;;) {
    const { metrics, evaluation, done } = await learner.next();
    ({ labels, 'reward/foreseen': foreseen = foreseen } = metrics);
    if (!done) continue;
    learner[Symbol.dispose]();
    return {
      gold: evaluation.measures['reward/true'],
      before: measures['reward/true'],
      kl: evaluation.kl,
      labels,
      foreseen,
    };
  }
}

/** Frames per second of the teaching room's clips in Chromium, while the agent trains beside it and while it is paused. */
async function* frames() {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  // training does not wait for judgments, so that it takes all it can get
  const people = ['--teacher', 'human', '--labels', '60', '--people.ahead', '1', '--steps', '2000000'];
  const { page, close } = await openRoom(['train', '--env', 'CartPole-v1', ...people, '--out', 'run'], folder);
  try {
    await judge(page, 12);
    await page.locator('.query .option canvas').first().waitFor();
    yield framesRow('while the agent trains', await page.evaluate(FRAMES));
    await page.locator('header').getByRole('button', { name: 'Pause' }).click();
    await page.getByText('Paused at').waitFor();
    yield framesRow('while the training is paused', await page.evaluate(FRAMES));
  } finally {
    await close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Milliseconds between the frames that the page draws in ten seconds. */
const FRAMES = `new Promise((resolve) => {
  const times = [];
  const draw = (time) => {
    times.push(time);
    if (time - times[0] < 10000) requestAnimationFrame(draw);
    else resolve(times.slice(1).map((later, i) => later - times[i]));
  };
  requestAnimationFrame(draw);
})`;

const framesRow = (when, between) => ({
  name: `frames of the teaching room ${when}`,
  value: `${((1000 * between.length) / between.reduce((a, b) => a + b, 0)).toFixed(0)} per second`,
  target: '≥ 50',
  note: `slowest of a hundred ${ms(at(between, 0.99))}, n = ${between.length}`,
});

/** Shares of right judgments: a few people are careful, most are good, some guess half of the time. */
const SKILLS = [0.97, 0.95, 0.93, 0.9, 0.88, 0.85, 0.82, 0.78, 0.7, 0.6];
const PAIRS = 400;

/**
 * Judgments for an accuracy: three of each item, against asking until the likeliest judgment is certain. Ten people whose
 * care differs come in turn; the consensus is compared with the truth, which nobody is told.
 */
async function* certainty({ seeds }) {
  const arms = {
    'three judgments of each item': { overlap: 3 },
    'certainty 0.95, at most 5': { overlap: 5, certainty: 0.95 },
    'certainty 0.9, at most 4': { overlap: 4, certainty: 0.9 },
  };
  const found = new Map();
  for (const [name, settings] of Object.entries(arms)) {
    const results = [];
    for (let seed = 0; seed < seeds; seed++) results.push(await judged(settings, seed));
    found.set(name, results);
    const [labels, right] = ['labels', 'right'].map((of) => intervalOf(results.map((result) => result[of])));
    const [fixed] = found.values();
    const saved = intervalOf(results.map((result, i) => 1 - result.labels / fixed[i].labels));
    const better = intervalOf(results.map((result, i) => result.right - fixed[i].right));
    yield {
      name,
      value: `${labels.mean.toFixed(0)} judgments of ${PAIRS} items, ${percent(right)} right`,
      target: settings.certainty ? '≥ 30 % fewer, no less right' : '',
      note: settings.certainty
        ? `${percent(saved)} fewer; ${percent(better)} more right; ${seeds} seeds, 95 % intervals`
        : `${seeds} seeds`,
    };
  }
}

const percent = ({ mean, half }) => `${(100 * mean).toFixed(1)} % ± ${(100 * half).toFixed(1)}`;

/** The mean, and half of its 95 % interval by Student's t. */
function intervalOf(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1);
  const t = { 3: 4.303, 5: 2.776, 10: 2.262 }[values.length] ?? 2;
  return { mean, half: t * Math.sqrt(variance / values.length) };
}

/** Judges a project's items by the store's own code until nobody is asked any more. */
async function judged(settings, seed) {
  const database = await openDatabase(':memory:');
  const choices = { tie: false, bothBad: false, unknown: false, goldShare: 0 };
  const project = await createProject(database, 'p', { ...choices, ...settings });
  const options = ['a', 'b'].map((text) => ({ kind: 'text', text }));
  await addItems(
    database,
    project,
    Array.from({ length: PAIRS }, (_, n) => ({ content: { prompt: `${n}`, options } })),
  );
  const truth = random(seed, 'truth');
  const right = new Map();
  const draws = random(seed, 'people');
  const people = [];
  for (const [i, skill] of SKILLS.entries()) {
    people.push({ skill, id: (await addPerson(database, `person ${i}`)).person.id });
  }
  let labels = 0;
  for (let idle = 0; idle < people.length; ) {
    // whoever comes: people work at their own pace
    const { id, skill } = people[Math.floor(draws.uniform() * people.length)];
    const [next] = await assignItems(database, project, id);
    if (!next) {
      idle = (await anybody(database, project, people)) ? 0 : people.length;
      continue;
    }
    const item = next.item.id;
    if (!right.has(item)) right.set(item, truth.uniform() < 0.5 ? 'first' : 'second');
    const wrong = right.get(item) === 'first' ? 'second' : 'first';
    const choice = draws.uniform() < skill ? right.get(item) : wrong;
    await recordJudgment(database, project, id, { id: `v${labels}`, item, judgment: { kind: 'pair', choice } });
    labels++;
    if (settings.certainty && labels % 40 === 0) await refreshEstimates(database, project);
  }
  const { consensus } = qualityOf(await countedJudgments(database, project.id));
  const correct = [...right].filter(([item, choice]) => consensus.get(item).answer === (choice === 'first' ? 0 : 1));
  await database.close();
  return { labels, right: correct.length / PAIRS };
}

/** Whether somebody would get an item. */
async function anybody(database, project, people) {
  for (const { id } of people) if ((await assignItems(database, project, id)).length > 0) return true;
  return false;
}
