/**
 * The first page's second demo, without its page: a tiny model writes pairs of reviews, the reader says which is better,
 * and DPO learns it. What it writes is counted before and after, so that the page can say what became of it.
 */
import { dpo, sft } from 'heed/align';
import type { Model } from 'heed/lm';
import { adjectiveOf, verbs } from '../../src/data/reviews/words.ts';
import type { Choice } from './messages.ts';

export const PAIRS = 10;
const WRITTEN = 24; // reviews that are counted, before and after
const PASSES = 12; // of DPO over the reader's pairs
const RATE = 3e-4;

const places = ['castle', 'circus', 'library', 'planetarium', 'restaurant', 'spa', 'stadium', 'tavern'];
const promptOf = (place: string) => [{ role: 'user', content: `please write a short review of the ${place} .` }];
const prompts = Array.from({ length: WRITTEN }, (_, i) => promptOf(places[i % places.length]));

/** Counts of a review that a reader may care about. */
export const features = {
  praise: 'words of praise',
  blame: 'words of blame',
  words: 'words',
} as const;
/** The mean of each over some reviews. */
export type Counts = Record<keyof typeof features, number>;

/** What the reader chose and what the model wrote, counted. */
export interface Taught {
  chosen: Counts;
  rejected: Counts;
  before: Counts;
  after: Counts;
  /** Pairs with a choice. */
  pairs: number;
  /** Pairs whose chosen review the model made likelier than the other, against what it wrote before. */
  learned: number;
}

/** What the page does for the training. */
export interface WriterPage {
  /** Shows what happens now. */
  stage(text: string): void;
  /** Asks which of two reviews is better. */
  choose(texts: readonly [string, string], number: number): Promise<Choice>;
  /** Shows a review that the model writes: of the same prompt before and after. */
  sample(when: 'before' | 'after', text: string): void;
}

/** Teaches the model. Its weights change. */
export async function teachWriter(model: Model, seed: number, page: WriterPage): Promise<Taught> {
  page.stage('It learns to follow prompts from 300 demonstrations …');
  await sft({ model, demonstrations: 300, steps: 12, evaluations: 0, evaluation: { share: 0 }, seed });

  page.stage('It writes pairs of reviews …');
  const before = await write(model, prompts, seed);
  page.sample('before', before[0]);
  const asked = Array.from({ length: 2 * PAIRS }, (_, i) => promptOf(places[(i >> 1) % places.length]));
  const texts = await write(model, asked, seed + 1);
  const rows = [];
  for (let i = 0; i < PAIRS; i++) {
    const pair = [texts[2 * i], texts[2 * i + 1]] as const;
    const choice = pair[0] === pair[1] ? 'equal' : await page.choose(pair, i + 1);
    if (choice === 'equal') continue;
    const [chosen, rejected] = choice === 'left' ? pair : [pair[1], pair[0]];
    const said = (content: string) => [{ role: 'assistant', content }];
    rows.push({ prompt: asked[2 * i], chosen: said(chosen), rejected: said(rejected) });
  }
  const textOf = ([{ content }]: { content: string }[]) => content;
  const [chosen, rejected] = [rows.map((row) => textOf(row.chosen)), rows.map((row) => textOf(row.rejected))];
  if (rows.length === 0) {
    const counts = countsOf(before);
    return { chosen: counts, rejected: counts, before: counts, after: counts, pairs: 0, learned: 0 };
  }

  const training = dpo({
    model,
    data: rows,
    batch: rows.length,
    epochs: PASSES,
    learningRate: RATE,
    evaluations: 0,
    evaluation: { share: 0 },
    seed,
  });
  let accuracy = 0;
  for await (const { step, metrics } of training) {
    accuracy = metrics['rewards/accuracies'];
    page.stage(`DPO learns from your ${rows.length} choices: pass ${step} of ${PASSES} …`);
  }
  const after = await write(model, prompts, seed);
  page.sample('after', after[0]);
  const [learned, pairs] = [Math.round(accuracy * rows.length), rows.length];
  return {
    chosen: countsOf(chosen),
    rejected: countsOf(rejected),
    before: countsOf(before),
    after: countsOf(after),
    pairs,
    learned,
  };
}

/** Ends each text after its last whole sentence, if it has one. */
async function write(model: Model, prompts: ReturnType<typeof promptOf>[], seed: number): Promise<string[]> {
  const texts = await model.generate(prompts, { maxTokens: 48, seed });
  return texts.map((text) => (text.includes(' .') ? text.slice(0, text.lastIndexOf(' .') + 2) : text));
}

function countsOf(texts: readonly string[]): Counts {
  const words = texts.map((text) => text.split(/\s+/).filter((word) => /\w/.test(word)));
  const has = (polarity: 'praise' | 'blame') => (word: string) =>
    adjectiveOf.get(word)?.polarity === polarity || verbs[polarity].includes(word);
  const mean = (of: (review: string[]) => number) => words.reduce((sum, review) => sum + of(review), 0) / words.length;
  return {
    praise: mean((review) => review.filter(has('praise')).length),
    blame: mean((review) => review.filter(has('blame')).length),
    words: mean(({ length }) => length),
  };
}

/** What the reader's choices had in common, and whether the model writes more like that now. */
export function saidOf({ chosen, rejected, before, after, pairs, learned }: Taught): string {
  if (pairs === 0) return 'You found all pairs equal, so there is nothing to learn. Start again.';
  const sizes: Counts = { praise: 1, blame: 1, words: 8 }; // differences that a reader sees
  const wish = (name: keyof Counts) => (chosen[name] - rejected[name]) / sizes[name];
  const names = Object.keys(features) as (keyof Counts)[];
  const name = names.reduce((most, each) => (Math.abs(wish(each)) > Math.abs(wish(most)) ? each : most));
  const moved = (after[name] - before[name]) * Math.sign(wish(name));
  const number = (counts: Counts) => counts[name].toFixed(1);
  const wished = `What you chose has ${number(chosen)} ${features[name]}, what you rejected ${number(rejected)}.`;
  const became = `Before, a review of it had ${number(before)}, now it has ${number(after)}.`;
  const verdict = moved > 0.1 * sizes[name] ? 'It learned that.' : 'It did not learn that.';
  const held = `It now finds your choice likelier than before, against the other review, in ${learned} of ${pairs} pairs.`;
  return `${wished} ${became} ${verdict} ${held}`;
}
