/**
 * Learning curves of the algorithms, for their pages: agents by the return of greedy episodes, language models by the true
 * reward, which none of them saw, of completions to all prompts of the embedded world. Results are kept in
 * bench/results/algorithms.jsonl (or in HEED_BENCH_FOLDER), from which test/rates.test.ts draws docs/images/curve-*.svg
 * (algorithms-in-docs.js). HEED_BENCH_CASE picks algorithms by a pattern of their names.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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
  createRloo,
} from '../dist/align/parts.js';
import { learnFromPreferences } from '../dist/control/index.js';
import { rl } from '../dist/rl/index.js';
import { judged, startOf } from './align-world.js';
import { keptResults } from './kept.js';

const SEEDS = 3;
/** Parts of a training between which it is measured. */
const POINTS = 8;
const results = fileURLToPath(new URL('results/', import.meta.url));
const wanted = (name) => new RegExp(`^(${process.env.HEED_BENCH_CASE ?? '.*'})$`).test(name);

/** Agents by what their pages tell: the verb, and its settings. */
const agents = {
  ppo: [rl, { env: 'CartPole-v1' }],
  a2c: [rl, { env: 'CartPole-v1', algorithm: 'a2c' }],
  trpo: [rl, { env: 'CartPole-v1', algorithm: 'trpo' }],
  sac: [rl, { env: 'Pendulum-v1', algorithm: 'sac', steps: 10_000 }],
  preferences: [learnFromPreferences, { env: 'CartPole-v1' }],
  pebble: [learnFromPreferences, { env: 'Pendulum-v1', algorithm: 'pebble', steps: 20_000 }],
};

async function* ofAgents({ seeds }) {
  const kept = keptResults('algorithms.jsonl', process.env.HEED_BENCH_FOLDER ?? results);
  for (const [name, [verb, settings]] of Object.entries(agents)) {
    if (!wanted(name)) continue;
    const all = [];
    for (let seed = 0; seed < Math.min(seeds, SEEDS); seed++) {
      all.push(
        await kept.result({ name, seed, ...settings }, async () => {
          const curve = [];
          for await (const { step, evaluation } of verb({ ...settings, seed, evaluations: POINTS })) {
            if (evaluation) curve.push([step, evaluation.mean]);
          }
          return { curve };
        }),
      );
    }
    yield { name: `${name}, return`, value: lastOf(all) };
  }
}

const lastOf = (all) => all.map(({ curve }) => curve.at(-1)[1].toFixed(2)).join(', ');

const online = { evaluations: 0, evaluation: { count: 1 }, maxTokens: 72 };
const offline = { evaluations: 0, evaluation: { share: 0, prompts: 0 } };
/** What draws its completions draws 1,280; what learns from comparisons learns 1,000 of them twice. */
const language = {
  'ppo-language': [createLanguagePpo, { ...online, steps: 20 }],
  reinforce: [createReinforce, { ...online, steps: 20 }],
  rloo: [createRloo, { ...online, steps: 20 }],
  grpo: [createGrpo, { ...online, steps: 20 }],
  'online-dpo': [createOnlineDpo, { ...online, steps: 20 }],
  raft: [createRaft, { ...online, steps: 5, batch: 32 }],
  rest: [createRest, { ...online, steps: 2, batch: 80 }],
  dpo: [createDpo, offline],
  simpo: [createCpo, offline],
  orpo: [createOrpo, offline],
  kto: [createKto, offline],
  bco: [createBco, offline],
};

async function* ofModels({ seeds }) {
  const folder = process.env.HEED_BENCH_FOLDER ?? results;
  const kept = keptResults('algorithms.jsonl', folder);
  // models are kept where a folder is named
  const models = process.env.HEED_BENCH_FOLDER ?? mkdtempSync(join(tmpdir(), 'heed-bench-'));
  const starts = keptResults('world.jsonl', models);
  try {
    for (const [name, [create, settings]] of Object.entries(language)) {
      if (!wanted(name)) continue;
      const all = [];
      for (let seed = 0; seed < Math.min(seeds, SEEDS); seed++) {
        all.push(
          await kept.result({ name, seed, settings }, async () =>
            curveOf(create, settings, await startOf(starts, seed), seed),
          ),
        );
      }
      yield { name: `${name}, true reward`, value: lastOf(all) };
    }
  } finally {
    if (!process.env.HEED_BENCH_FOLDER) rmSync(models, { recursive: true });
  }
}

/** The true reward by the share of the training that is done. */
async function curveOf(create, settings, { sft, reward, data }, seed) {
  const learner = await create({ ...settings, seed, model: sft, ...(settings === offline ? { data } : { reward }) });
  try {
    const steps = settings.steps ?? learner.steps;
    const at = new Set(Array.from({ length: POINTS + 1 }, (_, i) => Math.round((i * steps) / POINTS)));
    const curve = [];
    const measure = async (step) => curve.push([step, (await judged(learner.policy, reward, seed)).gold]);
    await measure(0);
    for (let done = false; !done; ) {
      const { step, ...rest } = await learner.next();
      ({ done } = rest);
      if (done || at.has(step)) await measure(step);
    }
    return { curve };
  } finally {
    learner[Symbol.dispose]();
  }
}

export const algorithms = { sections: { agents: ofAgents, models: ofModels } };
