/**
 * A simulated experiment on scalable oversight: a judge who overlooks most faults of a response, alone and with the help of
 * a critic who points at some (Saunders et al. 2022), and the reward model that learns from the judgments. Everything but
 * the judge and the critic is real: reviews of the embedded world that praise, into which sentences that blame are planted, and
 * a head fitted to the states of the world's base model.
 *
 * A critic has a recall (share of the faulty sentences it names) and a precision (share of what it names that is faulty). A
 * judge sees a fault without help with probability SIGHT. What the critic names, the judge looks at again: with
 * probability `check` the judge then knows whether it is faulty, and otherwise believes the critic.
 *
 * Results are kept in bench/results/oversight.jsonl; docs/explanation/what-it-does-not-solve.md is written from them.
 */
import { fileURLToPath } from 'node:url';
import { gatherRankings } from '../dist/align/parts.js';
import { readFeatures } from '../dist/align/reward-model/features.js';
import { fitHead } from '../dist/align/reward-model/head-fit.js';
import { reviewDemonstrations } from '../dist/align/world/demonstrations.js';
import { sentencesOf } from '../dist/data/reviews/recognize.js';
import { polarityByWord } from '../dist/data/reviews/words.js';
import { embeddedModel, loadModel } from '../dist/lm/index.js';
import { random } from '../dist/random.js';
import { keptResults, mean, timed } from './kept.js';

export const oversight = { sections: { critics } };

const SEEDS = 10;
/** Reviews that are drawn. Those with enough sentences become pairs, whose two responses have different numbers of faults. */
const PAIRS = 8000;
const LEAST_SENTENCES = 6;
const MOST_FAULTS = 3;
const SIGHT = 0.3;
const RECALL = 0.8;
export const PRECISIONS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
export const CHECKS = [0, 0.5];
const SETTINGS = { pairs: PAIRS, sight: SIGHT, recall: RECALL };

/** What is measured: the judge alone, one who overlooks nothing, and the judge with each critic. */
function* trials() {
  yield { judge: 'alone' };
  yield { judge: 'overlooks nothing' };
  for (const check of CHECKS) for (const precision of PRECISIONS) yield { judge: 'helped', check, precision };
}

async function* critics() {
  const kept = keptResults(
    'oversight.jsonl',
    process.env.HEED_BENCH_FOLDER ?? fileURLToPath(new URL('results/', import.meta.url)),
  );
  let world;
  for (const trial of trials()) {
    const all = [];
    for (let seed = 0; seed < SEEDS; seed++) {
      const measure = async () => {
        world ??= await drawWorld();
        return timed(async () => judged(world, trial, seed));
      };
      all.push(await kept.result({ ...SETTINGS, ...trial, seed }, measure));
    }
    const percent = (name) => `${(100 * mean(all.map((one) => one[name]))).toFixed(1)} %`;
    yield {
      name: `${trial.judge}${trial.judge === 'helped' ? `, precision ${trial.precision}, checks ${trial.check}` : ''}`,
      value: `${percent('judgments')} of judgments right`,
      note: `${percent('reward')} by the reward model`,
    };
  }
}

/** Pairs of responses with their sentences, the states of the model, and which response is better. */
async function drawWorld() {
  const model = await loadModel(embeddedModel);
  const draws = random(0, 'oversight');
  const reviews = Array.from(reviewDemonstrations(PAIRS, 0), ({ value: { messages } }) => {
    const sentences = sentencesOf(messages[1].content.split(/\s+/)).map((words) => words.join(' '));
    return { prompt: [messages[0]], sentences };
  });
  const faults = reviews.flatMap(({ sentences }) => sentences.slice(1, -1).filter(blames));
  const pairs = reviews
    .filter(({ sentences }) => sentences.length >= LEAST_SENTENCES && !sentences.some(blames))
    .map(({ prompt, sentences }) => {
      const one = draws.integer(MOST_FAULTS + 1);
      const other = (one + 1 + draws.integer(MOST_FAULTS)) % (MOST_FAULTS + 1);
      const variants = [one, other].map((count) => {
        // the first and the last sentence name the place or say good-bye: faults are between them
        const inside = Int32Array.from({ length: sentences.length - 2 }, (_, k) => k + 1);
        const places = new Set(draws.shuffle(inside).subarray(0, count));
        const fault = () => faults[draws.integer(faults.length)];
        const text = sentences.map((sentence, k) => (places.has(k) ? fault() : sentence)).join(' ');
        return { text, good: sentences.map((_, k) => !places.has(k)) };
      });
      return { prompt, variants, better: one < other ? 0 : 1 };
    });
  const completion = ({ text }) => [{ role: 'assistant', content: text }];
  const values = pairs.map(({ prompt, variants: [chosen, rejected] }, source) => ({
    value: { prompt, chosen: completion(chosen), rejected: completion(rejected), source },
  }));
  const options = {
    length: model.config.maxPositions,
    truncate: 'drop',
    listSize: 2,
    ratingMargin: 0,
    source: 'source',
  };
  const rankings = await gatherRankings(values, model, 'comparisons', { ...options, onBadRow: 'skip' });
  const completions = Array.from({ length: rankings.lengths.length }, (_, i) => rankings.completion(i));
  const features = await readFeatures(model, completions);
  const lists = rankings.lists.map((list) => {
    const { variants, better } = pairs[Number(list.source)];
    return { list, sentences: variants.map(({ good }) => good), better };
  });
  return { features, lists, share: faulty(lists.flatMap(({ sentences }) => sentences.flat())) };
}

/** Whether a sentence blames: in these reviews, which praise, it is a fault. */
const blames = (sentence) => sentence.split(' ').some((word) => polarityByWord.get(word) === 'blame');

const faulty = (good) => mean(good.map((is) => Number(!is)));

/** The share of right judgments, and of held-out pairs that a reward model gets right that learned from them. */
function judged({ features, lists, share }, trial, seed) {
  const draws = random(seed, 'oversight');
  const order = draws.shuffle(Int32Array.from(lists.keys()));
  const half = lists.length >> 1;
  const [train, test] = [order.subarray(0, half), order.subarray(half)];
  const choices = Array.from(train, (i) => choose(lists[i].sentences, trial, draws, share));
  const judgments = mean(
    choices.map((choice, k) => (choice === undefined ? 0.5 : Number(choice === lists[train[k]].better))),
  );
  const learned = Array.from(train, (i, k) => ({
    ...lists[i].list,
    levels: choices[k] === undefined ? [0, 0] : choices[k] === 0 ? [1, 0] : [0, 1],
  }));
  const { weight } = fitHead(features, learned, { labelSmoothing: 0, penalty: 0.03 });
  const { width, rows, rowOf } = features;
  const score = (completion) => {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += weight[k] * rows[rowOf[completion] * width + k];
    return sum;
  };
  const reward = mean(
    Array.from(test, (i) => {
      const { list, better } = lists[i];
      return Number(score(list.first + better) > score(list.first + 1 - better));
    }),
  );
  return { judgments, reward, learned: train.length, tested: test.length, faulty: share };
}

/** The response in which the judge counts the smaller share of faulty sentences; undefined for a tie. */
function choose(sentences, { judge, check = 0, precision = 1 }, draws, share) {
  // named wrongly so often that, of all it names, `precision` is faulty
  const wrongly = Math.min(1, (RECALL * share * (1 - precision)) / (precision * (1 - share)));
  const [one, other] = sentences.map((good) =>
    faulty(
      good.map((isGood) => {
        if (judge === 'overlooks nothing') return isGood;
        const seen = !isGood && draws.uniform() < SIGHT;
        const named = judge === 'helped' && draws.uniform() < (isGood ? wrongly : RECALL);
        const counted = named ? !isGood || draws.uniform() >= check : seen;
        return !(seen || counted);
      }),
    ),
  );
  return one === other ? undefined : one < other ? 0 : 1;
}
