/**
 * A section of the suite `align`: every algorithm on the embedded world, from one start, with one budget, against one reward
 * model, judged by the true reward that none of them saw.
 *
 * It takes long: with HEED_BENCH_FOLDER, models and results are kept there, and a bench that was stopped goes on. HEED_BENCH_COMPLETIONS is
 * how many completions of each prompt are judged.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openReward } from '../dist/align/index.js';
import {
  bestOf,
  completionKl,
  completionLayout,
  createBco,
  createBestOfN,
  createCpo,
  createDpo,
  createGrpo,
  createKto,
  createLanguagePolicy,
  createLanguagePpo,
  createOnlineDpo,
  createOrpo,
  createRaft,
  createReinforce,
  createRest,
  createReward,
  createRloo,
  createRollouts,
  createSft,
  reviewComparisons,
  reviewReward,
} from '../dist/align/parts.js';
import { reviewPrompts } from '../dist/data/reviews/demonstrations.js';
import { runtime } from '../dist/engine/runtime/current.js';
import { embeddedModel, encodeChat, loadModel } from '../dist/lm/index.js';
import { seedFor } from '../dist/random.js';
import { keptResults, learnAll, mean, timed } from './kept.js';

const SEEDS = 5;
const MAX_TOKENS = 72;
/** Completions of each prompt of the world in the evaluation. With two, chance moves the mean of five seeds by 0.05. */
const COMPLETIONS = Number(process.env.HEED_BENCH_COMPLETIONS ?? 2);
/** Added to the keys of results by another number. */
const completions = COMPLETIONS === 2 ? {} : { completions: COMPLETIONS };

const deviation = (values) => {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
};

/**
 * What draws its own completions draws 1,280 of them for the reward model to judge; what learns from comparisons learns, twice, the
 * 1,000 that the reward model learned. `learned` is how many completions gradients were taken of, one that was learned twice counted twice.
 */
const online = { steps: 20, evaluations: 0, evaluation: { count: 1 }, maxTokens: MAX_TOKENS };
const offline = { evaluations: 0, evaluation: { share: 0, prompts: 0 } };
const algorithms = [
  { name: 'ppo', create: createLanguagePpo, settings: online, learned: 2560 },
  {
    name: 'ppo-bf16',
    create: createLanguagePpo,
    settings: { ...online, precision: 'bf16' },
    learned: 2560,
    needs: 'bf16',
  },
  { name: 'reinforce', create: createReinforce, settings: online, learned: 1280 },
  { name: 'rloo', create: createRloo, settings: online, learned: 1280 },
  { name: 'grpo', create: createGrpo, settings: online, learned: 1280 },
  { name: 'raft', create: createRaft, settings: { ...online, steps: 5, batch: 32 }, learned: 320 },
  { name: 'rest', create: createRest, settings: { ...online, steps: 2, batch: 80 }, learned: 1120 },
  { name: 'online-dpo', create: createOnlineDpo, settings: online, learned: 1280 },
  { name: 'best-of-16', create: createBestOfN, settings: { completions: 16, maxTokens: MAX_TOKENS }, learned: 0 },
  { name: 'dpo', create: createDpo, settings: offline, learned: 4000 },
  { name: 'simpo', create: createCpo, settings: offline, learned: 4000 },
  { name: 'orpo', create: createOrpo, settings: offline, learned: 4000 },
  { name: 'kto', create: createKto, settings: offline, learned: 4000 },
  { name: 'bco', create: createBco, settings: offline, learned: 4000 },
];

/** HEED_BENCH_CASE picks algorithms by a pattern of their names. */
const chosen = algorithms.filter(
  ({ name, needs }) =>
    new RegExp(process.env.HEED_BENCH_CASE ?? '').test(name) && (needs !== 'bf16' || runtime().bf16().works),
);

async function* world({ seeds }) {
  const kept = keptResults('world.jsonl');
  try {
    const results = [];
    for (let seed = 0; seed < Math.min(seeds, SEEDS); seed++) {
      const start = await startOf(kept, seed);
      results.push(
        start.quality,
        await kept.result({ name: 'sft', seed, ...completions }, () => judgedModel(start, seed)),
      );
      for (const { name, create, settings } of chosen) {
        const measure = name === 'best-of-16' ? bestOfMany : trained;
        results.push(
          await kept.result({ name, seed, settings, ...completions }, () => measure(create, settings, start, seed)),
        );
      }
    }
    yield* worldRows(results);
  } finally {
    kept[Symbol.dispose]();
  }
}

function* worldRows(results) {
  const of = (name, field) => results.filter((result) => result.name === name).map((result) => result[field]);
  const told = (values, digits = 2) =>
    `${mean(values).toFixed(digits)}${values.length > 1 ? ` ± ${deviation(values).toFixed(digits)}` : ''}`;
  const accuracies = of('reward model', 'accuracy');
  yield {
    name: `reward model, ${accuracies.length} seeds, accuracy on 400 held-out comparisons, %`,
    value: told(
      accuracies.map((share) => 100 * share),
      1,
    ),
    target: '≥ 79',
    accuracies,
  };
  for (const name of ['sft', ...chosen.map((algorithm) => algorithm.name)]) {
    const [gold, proxy, kl, seconds] = ['gold', 'proxy', 'kl', 'seconds'].map((field) => of(name, field));
    yield {
      name: `${name}, true reward`,
      value: told(gold),
      target: name === 'sft' ? '' : 'above SFT',
      note: `reward model ${told(proxy)}, KL ${told(kl, 1)}, ${mean(seconds).toFixed(0)} s a seed`,
      gold,
      proxy,
      kl,
      seconds,
    };
  }
}

/** Of a seed: the fine-tuned model, comparisons of its completions, a reward model that learned them. */
export async function startOf(kept, seed) {
  const folder = join(kept.folder, `seed-${seed}`);
  const [sft, reward] = ['sft', 'reward'].map((name) => join(folder, name));
  const [data, heldOut] = ['comparisons.jsonl', 'held-out.jsonl'].map((name) => join(folder, name));
  mkdirSync(folder, { recursive: true });
  if (!existsSync(join(sft, 'config.json'))) {
    const learner = await createSft({ model: embeddedModel, seed, evaluations: 0, samples: { count: 0 } });
    await learnAll(learner);
    learner.saveModel(sft);
    learner[Symbol.dispose]();
  }
  if (!existsSync(heldOut)) {
    const model = await loadModel(sft);
    const compare = async (path, comparisons, teacher, from) => {
      const rows = await reviewComparisons(model, { comparisons, teacher, seed: from });
      writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    };
    await compare(data, 1000, 'mistake:0.1', seed);
    await compare(heldOut, 400, 'oracle', seedFor(seed, 'held-out comparisons'));
    model.parameters[Symbol.dispose]();
  }
  const quality = await kept.result({ name: 'reward model', seed }, async () => {
    const settings = { model: sft, data, seed, evaluations: 0, evaluation: { data: heldOut } };
    const learner = await createReward(settings);
    const { evaluation } = await learnAll(learner);
    await learner.saveModels(reward);
    learner[Symbol.dispose]();
    const { accuracy, interval, n } = evaluation;
    return { accuracy, interval, n };
  });
  return { sft, reward, data, quality };
}

/** The learner of an algorithm, from a start. */
const begin = (create, settings, { sft, reward, data }, seed) =>
  create({ ...settings, seed, model: sft, ...(settings === offline ? { data } : { reward }) });

async function trained(create, settings, start, seed) {
  const learner = await begin(create, settings, start, seed);
  try {
    const { seconds } = await timed(() => learnAll(learner));
    return { ...(await judged(learner.policy, start.reward, seed)), seconds };
  } finally {
    learner[Symbol.dispose]();
  }
}

async function judgedModel({ sft, reward }, seed) {
  const policy = createLanguagePolicy(await loadModel(sft), { lora: {}, seed });
  try {
    return { ...(await judged(policy, reward, seed)), seconds: 0 };
  } finally {
    policy[Symbol.dispose]();
  }
}

/** What a policy's completions to all prompts of the world are worth, by the true reward and by the reward model. */
async function judged(policy, reward, seed) {
  const { tokenizer } = policy.model;
  const prompts = reviewPrompts.map(({ text }) => {
    const prompt = [{ role: 'user', content: text }];
    return { ids: encodeChat(tokenizer, prompt, { addGenerationPrompt: true }).ids, text, row: { prompt } };
  });
  const proxy = await openReward(reward);
  const gold = reviewReward();
  const layout = completionLayout(policy.model, prompts, { rows: 8, maxTokens: MAX_TOKENS, completions: COMPLETIONS });
  const rollouts = createRollouts(policy, proxy, { layout, maxTokens: MAX_TOKENS, temperature: 1, batch: 64 });
  try {
    const rollout = await rollouts.run(prompts, seedFor(seed, 'judged'), COMPLETIONS);
    return {
      gold: mean(await gold.score(rollout.completions)),
      proxy: mean(rollout.scores),
      kl: mean(completionKl(rollout)),
      tokens: mean(rollout.completions.map(({ response }) => response.length)),
    };
  } finally {
    rollouts[Symbol.dispose]();
    proxy[Symbol.dispose]();
  }
}

async function bestOfMany(create, settings, { sft, reward }, seed) {
  const learner = await create({ ...settings, seed, model: sft, reward, gold: 'reviews' });
  try {
    const { seconds } = await timed(() => learnAll(learner));
    const { reward: proxy, gold, kl } = bestOf(learner.drawn()).at(-1);
    const words = learner.drawn().map(({ best }) => best.trim().split(/\s+/).length + 1);
    return { gold, proxy, kl, tokens: mean(words), seconds };
  } finally {
    learner[Symbol.dispose]();
  }
}

export { algorithms, begin, judged, world };
