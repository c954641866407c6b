/**
 * A section of the suite `align`: reward models on real comparisons, against chance and against "longer is better". It takes
 * long: with HEED_BENCH_FOLDER, results are kept there, and a bench that was stopped goes on.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadRewardModel } from '../dist/align/index.js';
import { createPretrain, createReward, createRewardScorer, gatherRankings, judgedPairs } from '../dist/align/parts.js';
import { random } from '../dist/random.js';
import { keptResults, learnAll, mean, timed } from './kept.js';

const FOLDS = 5;
const RESAMPLES = 10_000;
/** Of the data: the tokens of a prompt with its answer at most, of longer ones the start. */
const reading = { length: 1024, truncate: 'start' };
const small = { vocabulary: 2048, hidden: 64, layers: 1, feedForward: 172, maxPositions: 1024, length: 256, rows: 8 };
const once = { ...reading, epochs: 1, learningRate: 2e-3, weightDecay: 0.1 };

/** `pretrain`: a tokenizer and a model learned from the training completions alone; else HEED_STORIES names a folder to begin with. */
const recipes = [
  { name: 'one layer of 64, pretrained', pretrain: small, reward: once },
  { name: 'the same, three members', pretrain: small, reward: { ...once, members: 3 } },
  { name: 'the same, 256 tokens', pretrain: small, reward: { ...once, length: 256 } },
  {
    name: 'two layers of 128, pretrained',
    pretrain: { ...small, hidden: 128, layers: 2, feedForward: 352 },
    reward: once,
  },
  { name: 'stories260k', reward: { ...reading, length: 512, epochs: 1, learningRate: 1e-3, weightDecay: 0.1 } },
  {
    name: 'stories260k, length-debiased',
    reward: { ...reading, length: 512, epochs: 1, learningRate: 1e-3, weightDecay: 0.1, lengthDebias: true },
  },
  {
    name: 'stories260k, adapters',
    reward: { ...reading, length: 512, epochs: 2, learningRate: 5e-3, lora: { rank: 8 } },
  },
];

/**
 * Real comparisons (HEED_ALPACA: a file of `prompt`, `chosen` and `rejected`) in five parts by prompt; each part is judged by a model
 * that learned the other four. Intervals are of prompts drawn again, since comparisons of one prompt share a completion. With fewer seeds
 * than parts, only so many parts are judged; HEED_BENCH_CASE picks recipes by a pattern of their names.
 */
export async function* alpaca({ seeds }) {
  const path = process.env.HEED_ALPACA;
  if (path === undefined) {
    yield { name: 'real comparisons', value: 'skipped', note: 'HEED_ALPACA names no file of them' };
    return;
  }
  const rows = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const prompts = [...new Set(rows.map(({ prompt }) => prompt))];
  const part = new Map(
    Array.from(random(0, 'parts').shuffle(Int32Array.from(prompts.keys())), (at, i) => [prompts[at], i % FOLDS]),
  );
  const parts = rows.map(({ prompt }) => part.get(prompt));
  const longer = rows.map(({ chosen, rejected }) => Math.log(chosen.length / rejected.length));
  const kept = keptResults('alpaca.jsonl');
  try {
    const all = new Map();
    const folds = Math.min(seeds, FOLDS);
    const judged = [...rows.keys()].filter((i) => parts[i] < folds);
    const only = (values) => judged.map((i) => values[i]);
    for (const recipe of recipes) {
      if (!recipe.pretrain && process.env.HEED_STORIES === undefined) continue;
      if (!new RegExp(process.env.HEED_BENCH_CASE ?? '').test(recipe.name)) continue;
      const margins = new Array(rows.length);
      for (let fold = 0; fold < folds; fold++) {
        const of = (inside) => [...rows.keys()].filter((i) => (parts[i] === fold) === inside);
        const result = await kept.result({ recipe, fold }, () => marginsOf(recipe, rows, of(false), of(true), fold));
        for (const [k, i] of of(true).entries()) margins[i] = result.margins[k];
      }
      all.set(recipe.name, only(margins));
      all.set(`${recipe.name}, with length`, weighed(only(margins), only(longer), only(parts)));
    }
    all.set('the best on the other parts', chosenByOthers([...all.values()], only(parts)));
    for (const [name, margins] of [['longer is better', only(longer)], ...all]) {
      yield { name, ...judgedBy(margins, only(longer), only(rows)) };
    }
  } finally {
    kept[Symbol.dispose]();
  }
}

const hit = (margin) => (margin === 0 ? 0.5 : Number(margin > 0));

/** How the rewards of held-out comparisons differ, by a model that learned the others. */
async function marginsOf(recipe, rows, train, test, seed) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  const write = (name, values) => {
    const path = join(folder, name);
    writeFileSync(path, values.map((value) => `${JSON.stringify(value)}\n`).join(''));
    return path;
  };
  const comparison = (i) => ({ prompt: `${rows[i].prompt}\n\n`, chosen: rows[i].chosen, rejected: rows[i].rejected });
  try {
    return await timed(async () => {
      const model = recipe.pretrain ? join(folder, 'base') : process.env.HEED_STORIES;
      if (recipe.pretrain) {
        const texts = train.flatMap((i) =>
          ['chosen', 'rejected'].map((side) => `${rows[i].prompt}\n\n${rows[i][side]}`),
        );
        const data = write(
          'texts.jsonl',
          [...new Set(texts)].map((text) => ({ text })),
        );
        const learner = await createPretrain({ ...recipe.pretrain, data, seed, evaluations: 0, samples: { count: 0 } });
        await learnAll(learner);
        learner.saveModel(model);
        learner[Symbol.dispose]();
      }
      const data = write('train.jsonl', train.map(comparison));
      const learner = await createReward({
        ...recipe.reward,
        model,
        data,
        seed,
        evaluations: 0,
        evaluation: { share: 0 },
      });
      await learnAll(learner);
      await learner.saveModels(join(folder, 'reward'));
      learner[Symbol.dispose]();
      return { margins: await heldOutMargins(join(folder, 'reward'), test.map(comparison), recipe) };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function heldOutMargins(folder, rows, { reward: { length, truncate, members = 1 } }) {
  const margins = new Array(rows.length).fill(0);
  for (let member = 0; member < members; member++) {
    const model = await loadRewardModel(members === 1 ? folder : join(folder, `member-${member}`));
    const options = { length, truncate, listSize: 2, ratingMargin: 0, source: 'source' };
    // completions that differ only after the start that is read get the same reward; the last tokens may be the end of a turn
    const start = (text) =>
      model.tokenizer
        .encode(text)
        .slice(0, length - 4)
        .join();
    const told = [...rows.keys()].filter((i) => {
      const { prompt, chosen, rejected } = rows[i];
      return start(prompt + chosen) !== start(prompt + rejected);
    });
    const rankings = await gatherRankings(
      told.map((i) => ({ value: rows[i] })),
      model,
      'comparisons',
      options,
    );
    const scorer = createRewardScorer(model);
    const lists = [...rankings.lists.keys()];
    if (lists.length !== told.length) throw new Error(`${told.length - lists.length} comparisons are left out`);
    const rewards = scorer.run(Array.from({ length: rankings.lengths.length }, (_, i) => rankings.completion(i)));
    for (const [i, { better, worse }] of judgedPairs(rankings, lists, rewards).entries())
      margins[told[i]] += (better - worse) / members;
    scorer[Symbol.dispose]();
    model.parameters[Symbol.dispose]();
  }
  return margins;
}

/** Rewards and lengths together; of each part, weighed by logistic regression on the other parts. */
function weighed(margins, longer, parts) {
  const weights = Array.from({ length: Math.max(...parts) + 1 }, (_, fold) => {
    const others = [...parts.keys()].filter((i) => parts[i] !== fold);
    let [a, b] = [0, 0];
    for (let step = 0; step < 300; step++) {
      const wrong = others.map((i) => 1 / (1 + Math.exp(a * margins[i] + b * longer[i])));
      a += mean(others.map((i, k) => wrong[k] * margins[i]));
      b += mean(others.map((i, k) => wrong[k] * longer[i]));
    }
    return [a, b];
  });
  return margins.map((margin, i) => weights[parts[i]][0] * margin + weights[parts[i]][1] * longer[i]);
}

/** Each part by what is best on the others. */
function chosenByOthers(candidates, parts) {
  const best = Array.from({ length: Math.max(...parts) + 1 }, (_, fold) => {
    const others = [...parts.keys()].filter((i) => parts[i] !== fold);
    const accuracies = candidates.map((margins) => mean(others.map((i) => hit(margins[i]))));
    return candidates[accuracies.indexOf(Math.max(...accuracies))];
  });
  return parts.map((fold, i) => best[fold][i]);
}

function judgedBy(margins, longer, rows) {
  const totals = new Map(rows.map(({ prompt }) => [prompt, { hits: 0, gain: 0, count: 0 }]));
  for (const [i, { prompt }] of rows.entries()) {
    const of = totals.get(prompt);
    of.hits += hit(margins[i]);
    of.gain += hit(margins[i]) - hit(longer[i]);
    of.count++;
  }
  const byPrompt = [...totals.values()];
  const draws = random(0, 'resamples');
  const [accuracies, gains] = [new Float64Array(RESAMPLES), new Float64Array(RESAMPLES)];
  for (let k = 0; k < RESAMPLES; k++) {
    let [hits, gain, count] = [0, 0, 0];
    for (let i = 0; i < byPrompt.length; i++) {
      const drawn = byPrompt[draws.integer(byPrompt.length)];
      hits += drawn.hits;
      gain += drawn.gain;
      count += drawn.count;
    }
    accuracies[k] = hits / count;
    gains[k] = gain / count;
  }
  const percent = (share) => (100 * share).toFixed(1);
  const interval = (sorted) => [0.025, 0.975].map((share) => sorted[Math.floor(share * RESAMPLES)]);
  const [accuracy, gain] = [mean(margins.map(hit)), mean(margins.map((margin, i) => hit(margin) - hit(longer[i])))];
  const [around, beyond] = [accuracies, gains].map((values) => interval(values.sort()));
  const length = byLength(margins, longer);
  return {
    value: `${percent(accuracy)} % (${around.map(percent).join(' to ')})`,
    target: 'above chance and length',
    note: [
      `${percent(gain)} points above length (${beyond.map(percent).join(' to ')})`,
      `${percent(length.even)} % of ${length.n} pairs of about equal length`,
      `${percent(length.matched)} % with lengths matched`,
      `correlation with length ${length.correlation.toFixed(2)}`,
      `longer preferred ${percent(length.longer)} %`,
    ].join('; '),
    length,
    accuracy,
    interval: around,
    gain,
    gainInterval: beyond,
  };
}

const EVEN = 0.1 * Math.LN2; // as the evaluation of a reward model has it

/**
 * What margins have to do with length: accuracy on pairs of about equal length; accuracy where each group of similar ratios of length has
 * as many pairs whose longer completion was chosen as others, so that length gets a half; correlation with the logarithm of the ratio.
 */
function byLength(margins, longer) {
  const even = margins.filter((_, i) => Math.abs(longer[i]) <= EVEN);
  const groups = new Map();
  for (const [i, ratio] of longer.entries()) {
    const group = Math.min(4, Math.floor(Math.abs(ratio) / 0.35));
    if (!groups.has(group)) groups.set(group, { longer: [], shorter: [] });
    if (ratio !== 0) groups.get(group)[ratio > 0 ? 'longer' : 'shorter'].push(hit(margins[i]));
  }
  const pairs = [...groups.values()].filter((group) => Math.min(group.longer.length, group.shorter.length) > 0);
  const weight = (group) => Math.min(group.longer.length, group.shorter.length);
  const total = pairs.reduce((sum, group) => sum + weight(group), 0);
  const matched = pairs.reduce((sum, group) => sum + weight(group) * (mean(group.longer) + mean(group.shorter)), 0);
  // each pair counts both ways round: the means of both are 0
  const product = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  return {
    even: mean(even.map(hit)),
    n: even.length,
    matched: matched / (2 * total),
    correlation: product(margins, longer) / Math.sqrt(product(margins, margins) * product(longer, longer)),
    longer: mean(
      longer.flatMap((ratio, i) => (ratio === 0 ? [] : [ratio > 0 ? hit(margins[i]) : 1 - hit(margins[i])])),
    ),
  };
}
