/**
 * A section of the suite `align`: failures made on purpose and healthy runs on the embedded world, each a short training in a run's
 * folder, and what its diagnosis says.
 *
 * One fine-tuned model and one reward model serve all of them; with HEED_BENCH_FOLDER they are kept there. HEED_BENCH_SEED=1000 makes
 * them, all data and all trainings anew.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createBco,
  createDpo,
  createGrpo,
  createKto,
  createLanguagePpo,
  createOnlineDpo,
  createOrpo,
  createRaft,
  createReinforce,
  createReward,
  createRloo,
  createSft,
  diagnoseLanguageRun,
  reviewComparisons,
  reviewReward,
  trainLanguageModel,
  trainPolicy,
  trainPreferences,
  trainReward,
} from '../dist/align/parts.js';
import { embeddedModel, loadModel } from '../dist/lm/index.js';
import { random } from '../dist/random.js';
import { createRun } from '../dist/run/index.js';
import { keptResults, learnAll } from './kept.js';

const MODEL = 2e-4; // the usual learning rate of the embedded model
/** Of all data and trainings. The rules were calibrated on those of 0. */
const SEED = Number(process.env.HEED_BENCH_SEED ?? 0);

/** A short on-policy training. */
const short = { seed: SEED, steps: 20, maxTokens: 48, evaluations: 4, evaluation: { count: 48, samples: 1 } };
const policies = {
  ppo: [createLanguagePpo, { ...short, batch: 16, ppo: { minibatch: 8 } }],
  grpo: [createGrpo, { ...short, batch: 8 }],
  rloo: [createRloo, { ...short, batch: 8 }],
  reinforce: [createReinforce, { ...short, batch: 32 }],
  'online-dpo': [createOnlineDpo, { ...short, batch: 16 }],
  raft: [createRaft, { ...short, steps: 6, batch: 8 }],
};
const preferences = { dpo: createDpo, orpo: createOrpo, kto: createKto, bco: createBco };
const answered = { seed: SEED, evaluation: { prompts: 48, maxTokens: 48, samples: 1 } };

const world = reviewReward();
const negative = {
  name: 'minus the true reward',
  score: async (completions) => Array.from(await world.score(completions), (value) => -value),
};
/** The true reward in units that grow from call to call. */
const growing = () => {
  let calls = 0;
  return {
    name: 'growing',
    score: async (completions) => {
      calls++;
      return Array.from(await world.score(completions), (value) => value * calls ** 1.5);
    },
  };
};
const count = (pattern) => (completions) => completions.map(({ text }) => (text.match(pattern) ?? []).length);
const weights = random(SEED + 1, 'weights');
const perToken = Float64Array.from({ length: 5000 }, () => weights.normal());
const linear = (completions) => completions.map(({ response }) => response.reduce((sum, id) => sum + perToken[id], 0));
const broken = () => {
  let calls = 0;
  return (completions) => completions.map((_, i) => (++calls > 4 && i === 2 ? Number.NaN : i));
};
const free = { maxKl: 0, beta: 0, steps: 45 };

/**
 * Failures with the codes that name them, the first or second of which a diagnosis has to find. `settings` gets the folders of the
 * fine-tuned model, of the reward model, and of comparisons with 10 and with 40 % wrong labels.
 */
const failures = [
  ['wrong sign of the reward, rloo', ['reward-inverted'], 'rloo', () => ({ reward: negative })],
  ['wrong sign of the reward, ppo', ['reward-inverted'], 'ppo', () => ({ reward: negative, steps: 12 })],
  ['40 % wrong labels, reward model', ['labels-contradict'], 'reward', ({ wrong }) => ({ data: wrong })],
  ['40 % wrong labels, dpo', ['labels-contradict'], 'dpo', ({ wrong }) => ({ data: wrong })],
  [
    '30 labels, reward model',
    ['too-few-labels'],
    'reward',
    ({ few, held }) => ({ data: few, evaluation: { data: held } }),
  ],
  ['learning rate × 30, grpo', ['learning-rate-high'], 'grpo', ({ reward }) => ({ reward, learningRate: 30 * MODEL })],
  ['learning rate × 30, dpo', ['learning-rate-high'], 'dpo', ({ data }) => ({ data, learningRate: 30 * MODEL })],
  ['learning rate × 30, sft', ['learning-rate-high'], 'sft', () => ({ learningRate: 30 * 1e-3 })],
  [
    'a reward that counts a word, ppo',
    ['reward-exploited', 'over-optimized'],
    'ppo',
    () => ({
      reward: count(/\bwas\b/g),
      ...{ maxKl: 0, kl: { controller: 'fixed', beta: 0.001 }, steps: 45 },
    }),
  ],
  [
    'a reward that counts a word, rloo',
    ['reward-exploited', 'over-optimized'],
    'rloo',
    () => ({ reward: count(/\band\b/g), ...free }),
  ],
  [
    'a judge that prefers length, online-dpo',
    ['length-preferred'],
    'online-dpo',
    () => ({
      judge: (pairs) =>
        pairs.map(({ completions: [a, b] }) => (a.length === b.length ? 0.5 : Number(a.length > b.length))),
    }),
  ],
  [
    'a reward of length, rloo',
    ['length-preferred'],
    'rloo',
    () => ({ reward: (completions) => completions.map(({ text }) => text.length) }),
  ],
  [
    'constant reward, grpo',
    ['reward-constant'],
    'grpo',
    () => ({ reward: (completions) => completions.map(() => 1), steps: 6 }),
  ],
  ['a reward of NaN, rloo', ['reward-invalid'], 'rloo', () => ({ reward: broken() })],
  [
    'no weight of the KL, grpo',
    ['kl-unbounded', 'reward-exploited'],
    'grpo',
    () => ({ reward: linear, ...free, steps: 60 }),
  ],
  ['no EOS, rloo', ['no-eos'], 'rloo', () => ({ reward: 'reviews', maxTokens: 12, steps: 8 })],
  ['a reward of growing scale, rloo', ['reward-scale'], 'rloo', () => ({ reward: growing() })],
];

const healthy = [
  ['ppo, reward model', 'ppo', ({ reward }) => ({ reward })],
  ['ppo, true reward', 'ppo', () => ({ reward: 'reviews' })],
  ['rloo, true reward', 'rloo', () => ({ reward: 'reviews' })],
  ['grpo, reward model', 'grpo', ({ reward }) => ({ reward })],
  ['reinforce, reward model', 'reinforce', ({ reward }) => ({ reward })],
  ['online-dpo, reward model', 'online-dpo', ({ reward }) => ({ reward })],
  ['raft, true reward', 'raft', () => ({ reward: 'reviews' })],
  ['dpo', 'dpo', ({ data }) => ({ data })],
  ['orpo', 'orpo', ({ data }) => ({ data })],
  ['kto', 'kto', ({ data }) => ({ data })],
  ['reward model', 'reward', ({ data, held }) => ({ data, evaluation: { data: held } })],
  ['sft', 'sft', () => ({})],
];

/** The fine-tuned model, the reward model, and comparisons, in a folder. */
async function startOf(folder) {
  const at = (name) => join(folder, name);
  mkdirSync(folder, { recursive: true });
  if (!existsSync(at('sft/config.json'))) {
    const learner = await createSft({ model: embeddedModel, seed: SEED, evaluations: 0, samples: { count: 0 } });
    await learnAll(learner);
    learner.saveModel(at('sft'));
    learner[Symbol.dispose]();
  }
  if (!existsSync(at('held.jsonl'))) {
    const model = await loadModel(at('sft'));
    const write = (name, rows) => writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const data = await reviewComparisons(model, { comparisons: 1000, teacher: 'mistake:0.1', seed: SEED });
    write('data.jsonl', data);
    write('few.jsonl', data.slice(0, 30));
    write('wrong.jsonl', await reviewComparisons(model, { comparisons: 800, teacher: 'mistake:0.4', seed: SEED + 1 }));
    write('held.jsonl', await reviewComparisons(model, { comparisons: 300, teacher: 'oracle', seed: SEED + 99 }));
    model.parameters[Symbol.dispose]();
  }
  if (!existsSync(at('reward/config.json'))) {
    const learner = await createReward({ model: at('sft'), data: at('data.jsonl'), seed: SEED, evaluations: 0 });
    await learnAll(learner);
    await learner.saveModels(at('reward'));
    learner[Symbol.dispose]();
  }
  return {
    sft: at('sft'),
    reward: at('reward'),
    ...Object.fromEntries(['data', 'wrong', 'few', 'held'].map((name) => [name, at(`${name}.jsonl`)])),
  };
}

/** Trains in a folder of its own, and returns the diagnosis of the run. */
async function diagnosed(command, settings, start, folder) {
  rmSync(folder, { recursive: true, force: true });
  const [learner, train] = await opened(command, settings, start);
  const { name, options } = learner;
  const run = createRun(folder, { name, command, config: JSON.parse(JSON.stringify(options)), seed: options.seed });
  try {
    await train(learner, { run, onWarning() {} });
  } catch (error) {
    if (error.name !== 'HeedError') throw error;
  } finally {
    run.close();
    learner[Symbol.dispose]();
  }
  return diagnoseLanguageRun(folder);
}

async function opened(command, settings, { sft }) {
  if (command in policies) {
    const [create, usual] = policies[command];
    return [await create({ model: sft, ...usual, ...settings }), trainPolicy];
  }
  if (command in preferences)
    return [await preferences[command]({ model: sft, reward: 'reviews', ...answered, ...settings }), trainPreferences];
  if (command === 'reward') return [await createReward({ model: sft, seed: SEED, ...settings }), trainReward];
  return [
    await createSft({ model: embeddedModel, seed: SEED, demonstrations: 400, samples: { count: 0 }, ...settings }),
    trainLanguageModel,
  ];
}

async function* diagnosis() {
  const kept = keptResults('diagnosis.jsonl');
  try {
    const start = await startOf(join(kept.folder, `diagnosis-${SEED}`));
    const only = process.env.HEED_BENCH_CASE;
    const run = async (name, command, settings) => {
      const folder = join(kept.folder, `diagnosis-${SEED}`, name.replaceAll(/[^\w]+/g, '-'));
      return kept.result({ name, seed: SEED }, async () => diagnosed(command, settings(start), start, folder));
    };
    let [right, all, alarms, sound] = [0, 0, 0, 0];
    for (const [name, codes, command, settings] of failures.filter(([name]) => !only || name.includes(only))) {
      const { findings, summary } = await run(name, command, settings);
      const found = findings.slice(0, 2).some(({ code }) => codes.includes(code));
      all++;
      right += Number(found);
      yield {
        name,
        value: findings.map(({ code }) => code).join(', ') || 'healthy',
        target: codes[0],
        note: `${found ? 'right' : 'WRONG'}: ${summary}`,
      };
    }
    for (const [name, command, settings] of healthy.filter(([name]) => !only || name.includes(only))) {
      const result = await run(name, command, settings);
      sound++;
      alarms += Number(result.findings.some(({ severity }) => severity === 'failure'));
      yield {
        name,
        value: result.findings.map(({ code }) => code).join(', ') || 'healthy',
        target: 'healthy',
        note: result.summary,
      };
    }
    yield { name: 'failures diagnosed', value: `${right} of ${all}`, target: '≥ 9 of 10' };
    yield { name: 'false alarms', value: `${alarms} of ${sound}`, target: '≤ 1 of 20' };
  } finally {
    kept[Symbol.dispose]();
  }
}

export { diagnosis };
