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
import { learnFromPreferences } from '../dist/control/index.js';
import { rl } from '../dist/rl/index.js';
import { begin, judged, startOf, algorithms as trainings } from './align-world.js';
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

/** Those of the suite `align` that train step by step, by the names of their pictures. */
const language = trainings
  .filter(({ name }) => !['ppo-bf16', 'best-of-16'].includes(name))
  .map(({ name, ...training }) => ({ name: name === 'ppo' ? 'ppo-language' : name, ...training }));

async function* ofModels({ seeds }) {
  const kept = keptResults('algorithms.jsonl', process.env.HEED_BENCH_FOLDER ?? results);
  // models are kept where a folder is named
  const models = process.env.HEED_BENCH_FOLDER ?? mkdtempSync(join(tmpdir(), 'heed-bench-'));
  const starts = keptResults('world.jsonl', models);
  try {
    for (const { name, create, settings } of language) {
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
async function curveOf(create, settings, start, seed) {
  const learner = await begin(create, settings, start, seed);
  try {
    const steps = settings.steps ?? learner.steps;
    const at = new Set(Array.from({ length: POINTS + 1 }, (_, i) => Math.round((i * steps) / POINTS)));
    const curve = [];
    const measure = async (step) => curve.push([step, (await judged(learner.policy, start.reward, seed)).gold]);
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
