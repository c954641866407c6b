/**
 * Sections of the suite `align`: trainings that do not go wrong. `early-stop`: five times the usual steps against a poor reward model,
 * and what is lost by the model that is kept without knowledge of the true reward. `kl-target`: whether PPO holds its KL on any reward.
 * `defaults`: every algorithm with its defaults, on problems that these were not tuned on.
 *
 * They take long: with HEED_BENCH_FOLDER, models and results are kept there, by algorithm, seed and settings, and a bench that was stopped
 * goes on. HEED_BENCH_SEED is the first seed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createBco,
  createCpo,
  createDpo,
  createGrpo,
  createKto,
  createLanguagePpo,
  createOnlineDpo,
  createOrpo,
  createRaft,
  createReinforce,
  createRest,
  createReward,
  createRloo,
  createSft,
} from '../dist/align/parts.js';
import { random } from '../dist/random.js';
import { startOf } from './align-world.js';
import { keptResults, learnAll, mean, timed } from './kept.js';

const SEEDS = 5;
const FIRST = Number(process.env.HEED_BENCH_SEED ?? 0);
const seedsOf = (count) => Array.from({ length: Math.min(count, SEEDS) }, (_, i) => FIRST + i);
/** Of the reward model that a policy can exploit. */
const COMPARISONS = 300;
/** 16 completions of 48 tokens a step. */
const step = { maxTokens: 48, evaluation: { count: 108, samples: 0 } };
const algorithms = {
  ppo: [createLanguagePpo, { ...step, batch: 16, ppo: { minibatch: 8 } }],
  rloo: [createRloo, { ...step, batch: 4 }],
  grpo: [createGrpo, { ...step, batch: 4 }],
  'online-dpo': [createOnlineDpo, { ...step, batch: 8 }],
};
const long = { steps: 250, evaluations: 25 };

async function* earlyStop({ seeds }) {
  const kept = keptResults('early-stop.jsonl');
  try {
    const results = [];
    for (const seed of seedsOf(seeds)) {
      const start = await poorStart(kept, seed);
      for (const [name, [create, usual]] of Object.entries(algorithms)) {
        const settings = { ...usual, ...long };
        results.push(await kept.result({ name, seed, settings }, () => curveOf(create, settings, start, seed)));
      }
    }
    for (const name of Object.keys(algorithms)) {
      const own = results.filter((result) => result.name === name).map(({ curve }) => lossOf(curve));
      yield {
        name: `${name}, ${own.length} seeds, gold of the kept model below the best of the run, %`,
        value: own.map(({ kept }) => kept.toFixed(1)).join(', '),
        target: '≤ 5',
        note: `at the end ${own.map(({ end }) => end.toFixed(1)).join(', ')}`,
        own,
      };
    }
  } finally {
    kept[Symbol.dispose]();
  }
}

/** By how many percent of the best gold of a run it is lower at the best reward that could be trusted, and at the end. */
function lossOf(curve) {
  const gold = (row) => row['reward/true'];
  const best = Math.max(...curve.map(gold));
  const below = (row) => (100 * (best - gold(row))) / best;
  const kept = curve.findLast((row) => row.best);
  return { best, kept: below(kept), step: kept.step, end: below(curve.at(-1)), kl: kept['eval/kl'] };
}

/** The evaluations of a training, with the metrics of the step before each. */
async function curveOf(create, settings, { sft, poor }, seed) {
  const learner = await create({ ...settings, seed, model: sft, reward: poor });
  try {
    const curve = [];
    const add = (step, metrics, { best, reward, kl, measures, signals }) =>
      curve.push({ step, best, ...metrics, ...measures, ...signals, 'eval/reward': reward, 'eval/kl': kl });
    const { seconds } = await timed(async () => {
      add(0, {}, await learner.evaluate());
      for (let done = false; !done; ) {
        const { step, metrics, evaluation, ...rest } = await learner.next();
        ({ done } = rest);
        if (evaluation) add(step, metrics, evaluation);
      }
    });
    return { curve, seconds };
  } finally {
    learner[Symbol.dispose]();
  }
}

/** The start of the section `world`, with a reward model that learned a part of its comparisons. */
async function poorStart(kept, seed) {
  const start = await startOf(kept, seed);
  const poor = join(kept.folder, `seed-${seed}`, 'poor-reward');
  if (!existsSync(join(poor, 'config.json'))) {
    const data = join(kept.folder, `seed-${seed}`, 'few.jsonl');
    writeFileSync(data, readFileSync(start.data, 'utf8').split('\n').slice(0, COMPARISONS).join('\n'));
    const learner = await createReward({ model: start.sft, data, seed, evaluations: 0 });
    await learnAll(learner);
    await learner.saveModels(poor);
    learner[Symbol.dispose]();
  }
  return { ...start, poor };
}

const perText = (score) => (completions) =>
  completions.map((completion) => score(completion.text.split(/\s+/), completion));
const count = (word) => perText((words) => words.filter((other) => other === word).length);
const linear = (name, scale) => {
  const draws = random(0, name);
  const weights = Float64Array.from({ length: 5000 }, () => draws.normal());
  return (completions) => completions.map(({ response }) => scale * response.reduce((sum, id) => sum + weights[id], 0));
};

/** Rewards of which most have no bound. */
const rewards = {
  'count of a word': () => count('was'),
  'linear in tokens': () => linear('weights', 1),
  'another linear one × −100': () => linear('other weights', -100),
  'exponential count': () => (completions) => count('and')(completions).map(Math.exp),
  'repeated pairs of tokens': () =>
    perText((words) => words.length - new Set(words.map((word, i) => `${word} ${words[i + 1]}`)).size),
  length: () => perText((_, { response }) => response.length),
  '−length': () => perText((_, { response }) => -response.length),
  'rare words, 0 or 1': () => perText((words) => Number(words.includes('spotless'))),
  'a reward model of 300 comparisons': ({ poor }) => poor,
  'the true reward': () => 'reviews',
};
const bounded = { maxTokens: 48, batch: 16, ppo: { minibatch: 8 }, evaluations: 0, evaluation: { count: 1 } };

async function* klTarget({ seeds }) {
  const kept = keptResults('kl-target.jsonl');
  try {
    for (const seed of seedsOf(seeds)) {
      const start = await poorStart(kept, seed);
      for (const [name, reward] of Object.entries(rewards)) {
        const { kls, gain, target } = await kept.result({ name, seed, settings: bounded }, () =>
          klOf(reward(start), start, seed),
        );
        const last = mean(kls.slice(-Math.ceil(kls.length / 4)));
        yield {
          name: `${name}, seed ${seed}: KL, mean of the last quarter`,
          value: last.toFixed(1),
          target: `≤ ${(1.2 * target).toFixed(1)}`,
          note: `highest ${Math.max(...kls).toFixed(1)}; reward ${gain.map((value) => value.toPrecision(3)).join(' → ')}`,
          last,
        };
      }
    }
  } finally {
    kept[Symbol.dispose]();
  }
}

async function klOf(reward, { sft }, seed) {
  const learner = await createLanguagePpo({ ...bounded, seed, model: sft, reward });
  try {
    const rows = [];
    for (let done = false; !done; ) {
      const step = await learner.next();
      ({ done } = step);
      rows.push(step.metrics);
    }
    return {
      kls: rows.map((row) => row['kl/mean']),
      gain: [rows[0], rows.at(-1)].map((row) => row['reward/mean']),
      target: learner.options.kl.target,
    };
  } finally {
    learner[Symbol.dispose]();
  }
}

/** Few completions, short ones; all else by default. */
const few = { maxTokens: 48, evaluations: 5, evaluation: { count: 64, samples: 0 } };
const onPolicy = {
  ppo: [createLanguagePpo, { ...few, batch: 16, ppo: { minibatch: 8 } }],
  reinforce: [createReinforce, { ...few, batch: 16 }],
  rloo: [createRloo, { ...few, batch: 4 }],
  grpo: [createGrpo, { ...few, batch: 4 }],
  'online-dpo': [createOnlineDpo, { ...few, batch: 8 }],
  raft: [createRaft, { ...few, batch: 16 }],
  rest: [createRest, { ...few, batch: 16 }],
};
const read = { evaluations: 5, evaluation: { prompts: 48, maxTokens: 48, samples: 0 } };
const paired = { dpo: [createDpo, read], cpo: [createCpo, read], orpo: [createOrpo, read] };
const rated = { kto: [createKto, read], bco: [createBco, read] };
const scored = { reward: [createReward, { evaluations: 5 }] };
const imitated = { sft: [createSft, { evaluations: 5, samples: { count: 0 } }] };

/** The algorithms of a problem, with what they learn from, or a function that makes it. */
const withInput = (algorithms, input) =>
  Object.entries(algorithms).map(([name, [create, settings]]) => [name, create, settings, input]);

async function* defaults({ seeds }) {
  const kept = keptResults('defaults.jsonl');
  try {
    for (const seed of seedsOf(seeds)) {
      for (const [problem, open] of Object.entries(problems)) {
        const algorithms = await open(kept, seed);
        if (algorithms.length === 0)
          yield { name: problem, value: 'skipped', note: 'HEED_ALPACA and HEED_STORIES name no files' };
        for (const [name, create, settings, input] of algorithms) {
          if (!only.test(`${problem}: ${name}`)) continue;
          const result = await kept.result({ problem, name, seed, settings }, async () =>
            outcomeOf(create, { ...settings, ...(typeof input === 'function' ? await input() : input), seed }),
          );
          const { measure, before, after, kl, highest, broken, seconds } = result;
          const worse = measure === 'loss' ? after > before : after < before;
          const wrong = broken || worse || highest > 1.2 * LIMIT;
          yield {
            name: `${problem}: ${name}, seed ${seed}`,
            value: `${measure} ${before.toFixed(2)} → ${after.toFixed(2)}`,
            target: 'no worse, KL ≤ 12',
            note: `${wrong ? 'WRONG: ' : ''}KL ${kl === undefined ? 'not measured' : `${kl.toFixed(1)}, highest ${highest.toFixed(1)}`}${broken ? `, ${broken} is not finite` : ''}; ${seconds.toFixed(0)} s`,
          };
        }
      }
    }
  } finally {
    kept[Symbol.dispose]();
  }
}

const LIMIT = 10; // nats
/** HEED_BENCH_CASE picks algorithms of problems by a pattern, such as `comparisons: dpo`. */
const only = new RegExp(process.env.HEED_BENCH_CASE ?? '');

/** What algorithms learn from, by problem: [] where its data is not there. */
const problems = {
  async 'embedded world'(kept, seed) {
    const { sft, reward, data } = await startOf(kept, seed);
    return [
      ...withInput(imitated, {}),
      ...withInput({ ...scored, ...paired, ...rated }, { model: sft, data }),
      ...withInput(onPolicy, { model: sft, reward }),
    ];
  },
  async 'rated completions'(kept) {
    const rows = realRows();
    const one = ({ prompt, chosen, rejected }, i) => ({
      prompt,
      completion: i % 2 ? rejected : chosen,
      label: i % 2 === 0,
    });
    return rows
      ? withInput(rated, { model: process.env.HEED_STORIES, data: rowsIn(kept, 'rated', rows.map(one)) })
      : [];
  },
  async comparisons(kept, seed) {
    const rows = realRows();
    if (!rows) return [];
    const model = process.env.HEED_STORIES;
    const pairs = rowsIn(kept, 'pairs', rows);
    const texts = rowsIn(
      kept,
      'texts',
      rows.map(({ prompt, chosen }) => ({ prompt, completion: chosen })),
    );
    const reward = async () => {
      const folder = join(kept.folder, `real-reward-${seed}`);
      if (!existsSync(join(folder, 'config.json'))) {
        const learner = await createReward({ model, data: pairs, seed, evaluations: 0 });
        await learnAll(learner);
        await learner.saveModels(folder);
        learner[Symbol.dispose]();
      }
      return { model, data: pairs, reward: folder };
    };
    return [
      ...withInput(imitated, { model, data: texts }),
      ...withInput({ ...scored, ...paired }, { model, data: pairs }),
      ...withInput(onPolicy, reward),
    ];
  },
};

/** Comparisons of HEED_ALPACA that are short, for a small model; undefined without them or without a model. */
function realRows() {
  const { HEED_ALPACA: path, HEED_STORIES: model } = process.env;
  if (path === undefined || model === undefined) return undefined;
  const rows = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return rows
    .filter(({ prompt, chosen, rejected }) => prompt.length + Math.max(chosen.length, rejected.length) < 600)
    .map(({ prompt, chosen, rejected }) => ({ prompt, chosen, rejected }));
}

function rowsIn({ folder }, name, rows) {
  const path = join(folder, `${name}.jsonl`);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

/** A held-out measure before and after a training, how far the policy went, and the first metric that is not a number. */
async function outcomeOf(create, settings) {
  const learner = await create(settings);
  try {
    const kls = [];
    let broken;
    let last;
    const see = (metrics, evaluation) => {
      broken ??= Object.entries(metrics).find(([, value]) => !Number.isFinite(value))?.[0];
      kls.push(...[metrics['kl/mean'], evaluation?.kl].filter((kl) => kl !== undefined));
      last = evaluation ?? last;
    };
    const first = await learner.evaluate();
    const { seconds } = await timed(async () => {
      for (let done = false; !done; ) {
        const { loss = 0, metrics = {}, evaluation, ...rest } = await learner.next();
        ({ done } = rest);
        see({ loss, ...metrics }, evaluation);
      }
    });
    const measure = 'accuracy' in first ? 'accuracy' : first.loss === undefined ? 'reward' : 'loss';
    const drift = last.kl === undefined ? {} : { kl: last.kl, highest: Math.max(...kls) };
    return { measure, before: first[measure], after: last[measure], ...drift, broken, seconds };
  } finally {
    learner[Symbol.dispose]();
  }
}

export { defaults, earlyStop, klTarget };
