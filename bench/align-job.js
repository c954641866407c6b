/**
 * One measured job of alignment, in a process of its own:
 *
 *   node bench/align-job.js JOB --option value …
 *
 * Prints one line of JSON with the job's fields and `peakRssMb`. `models` writes what both sides read: models with random weights in
 * the shapes of lm-shapes.json, prompts and pairs; the other jobs take its folder.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openReward, saveRewardModel } from '../dist/align/index.js';
import { createDpo, createGrpo, createLanguagePpo, createRewardModel } from '../dist/align/parts.js';
import { createModel, loadModel, saveModel, tokenizerFrom, wordLevelTokenizer } from '../dist/lm/index.js';
import { random } from '../dist/random.js';
import { median } from './figures.js';
import { runJob, shapeOf } from './job.js';

const [EOS, PAD] = ['<eos>', '<pad>'];

const jobs = {
  /**
   * --shape S --out FOLDER → FOLDER/model, reward (a classifier of that shape), prompts.jsonl (of 16 tokens) and pairs.jsonl
   * (both completions as long as the shape's rows, a quarter of them the prompt).
   */
  models({ shape, out }) {
    const { config, batch, length } = shapeOf(shape);
    const tokenizer = wordTokenizer(config.vocabularySize);
    saveModel(join(out, 'model'), createModel(config, tokenizer, 0));
    saveRewardModel(join(out, 'reward'), createRewardModel(createModel(config, tokenizer, 1), 1));
    const draws = random(0, 'bench');
    const words = (count) =>
      Array.from({ length: count }, () => wordOf(draws.integer(config.vocabularySize - 2))).join(' ');
    const write = (name, count, row) =>
      writeFileSync(join(out, name), Array.from({ length: count }, () => `${JSON.stringify(row())}\n`).join(''));
    write('prompts.jsonl', 512, () => ({ prompt: words(16) }));
    const prompt = length / 4;
    const completion = () => ` ${words(length - prompt - 1)}`; // and the EOS
    write('pairs.jsonl', 4 * batch, () => ({ prompt: words(prompt), chosen: completion(), rejected: completion() }));
    return {};
  },

  /**
   * --folder F [--steps N] → seconds of a PPO iteration, and of its parts: `generation`, `scoring` (reference and reward
   * model) and `update` (the critic's values, advantages, epochs).
   */
  async ppo({ folder, steps = 3 }) {
    const at = {};
    const { tokenizer, ...model } = await endless(folder);
    const judge = await openReward(join(folder, 'reward'));
    const learner = await createLanguagePpo({
      ...onPolicy(folder, steps),
      batch: 32,
      kl: { beta: 0.05, controller: 'fixed' },
      score: { normalize: 'none', missingEos: 0, place: 'after' },
      ppo: { epochs: 4, minibatch: 32 },
      model: {
        ...model,
        tokenizer: {
          ...tokenizer,
          // texts are made when all completions have ended
          decode(...given) {
            at.generated = performance.now();
            return tokenizer.decode(...given);
          },
        },
      },
      reward: {
        ...judge,
        async score(completions) {
          const decoded = at.generated;
          const scores = await judge.score(completions);
          Object.assign(at, { generated: decoded, scored: performance.now() });
          return scores;
        },
      },
    });
    return timed(steps, async () => {
      const began = performance.now();
      await learner.next();
      const ended = performance.now();
      return {
        seconds: ended - began,
        generation: at.generated - began,
        scoring: at.scored - at.generated,
        update: ended - at.scored,
      };
    });
  },

  /** --folder F --shape S [--steps N] → seconds of a DPO step, reference computed before, and its pairs. */
  async dpo({ folder, shape, steps = 5 }) {
    const { batch, length } = shapeOf(shape);
    const learner = await createDpo({
      model: join(folder, 'model'),
      data: join(folder, 'pairs.jsonl'),
      batch,
      length,
      steps: steps + 2, // a last one would be evaluated
      learningRate: 3e-6,
      evaluations: 0,
      evaluation: { share: 0, prompts: 0 },
    });
    const step = async () => {
      const began = performance.now();
      await learner.next();
      return { seconds: performance.now() - began };
    };
    return { ...(await timed(steps, step)), pairs: batch };
  },

  /** --folder F --beta B [--steps N] → seconds of a GRPO step on 8 prompts with 4 completions each. */
  async grpo({ folder, beta, steps = 3 }) {
    const learner = await createGrpo({
      ...onPolicy(folder, steps),
      batch: 8,
      completions: 4,
      epochs: 1,
      minibatches: 1,
      beta,
      model: await endless(folder),
      reward: {
        name: 'cheap',
        score: async (completions) => completions.map(({ text }) => text.length),
        [Symbol.dispose]() {},
      },
    });
    return timed(steps, async () => {
      const began = performance.now();
      await learner.next();
      return { seconds: performance.now() - began };
    });
  },
};

const wordOf = (i) => `w${i}`;

/** A word for each token, so that texts are as long as they should be. */
function wordTokenizer(size) {
  const words = Array.from({ length: size - 2 }, (_, i) => wordOf(i));
  return tokenizerFrom({
    'tokenizer.json': JSON.stringify(wordLevelTokenizer(words, { specialTokens: [EOS], unknown: PAD })),
    'tokenizer_config.json': JSON.stringify({
      tokenizer_class: 'PreTrainedTokenizerFast',
      eos_token: EOS,
      pad_token: PAD,
      clean_up_tokenization_spaces: false,
    }),
  });
}

/** A policy whose completions are all cut. */
const endless = async (folder) => ({ ...(await loadModel(join(folder, 'model'))), ends: [] });

const onPolicy = (folder, steps) => ({
  model: join(folder, 'model'),
  data: join(folder, 'prompts.jsonl'),
  maxTokens: 48,
  steps: steps + 2, // a last one would be evaluated
  learningRate: 3e-6,
  evaluations: 0,
  evaluation: { data: join(folder, 'prompts.jsonl'), count: 1 },
});

/** Medians over some steps, after one that is not timed, in seconds. */
async function timed(steps, step) {
  await step();
  const all = [];
  for (let i = 0; i < steps; i++) all.push(await step());
  return Object.fromEntries(
    Object.keys(all[0]).map((field) => [field, median(all.map((figures) => figures[field])) / 1000]),
  );
}

await runJob(jobs, { texts: ['shape', 'folder', 'out'], wholes: ['steps'], numbers: ['beta'] });
