/** Preferences to learn from, of a dataset or of the embedded world: pairs, or answers that are rated each on its own. */
import { createHash } from 'node:crypto';
import { describeBadRow, type Format, type Message, type Place, type Row } from '../../data/index.ts';
import type { Model } from '../../lm/model.ts';
import type { Example } from '../../lm/packing.ts';
import { seedFor } from '../../random.ts';
import { createExamples, type Examples, fingerprint, holdOut, longestExample, subset } from '../examples/examples.ts';
import {
  checkAnswer,
  encodeAnswer,
  encodedRows,
  encodePair,
  equalNotice,
  fitAll,
  nothingLeft,
  type PairOptions,
  promptedPair,
  sameTokens,
} from '../examples/pairs.ts';
import { worldPrompts } from '../policies/prompts.ts';
import type { EncodedPrompt } from '../policies/rollouts.ts';
import { type Live, openSource, readSource } from '../training/input.ts';
import { reviewComparisons } from '../world/comparisons.ts';
import { countOf, type Items } from './batch.ts';
import type { PreferenceOptions } from './options.ts';

/** Items with the prompts they are of. */
export interface PreferenceItems extends Items {
  readonly prompts: readonly EncodedPrompt[];
}

export interface PreferenceData {
  train: PreferenceItems;
  heldOut: PreferenceItems | undefined;
  /** That are answered at each evaluation. */
  prompts: readonly EncodedPrompt[];
}

type Dataset = AsyncIterable<{ value: Row } & Partial<Place>> | Iterable<{ value: Row } & Partial<Place>>;

/**
 * What to learn from and what to evaluate on. Items of one prompt are on the same side.
 *
 * @throws HeedError with file and line where a row cannot be used, and where nothing is left.
 */
export async function readPreferences(
  options: PreferenceOptions,
  model: Model,
  paired: boolean,
  live: Live = {},
): Promise<PreferenceData> {
  const { data, evaluation, seed, comparisons, teacher } = options;
  const length = longestExample(options.length, model.config);
  const { onNotice } = live;
  const gather = (rows: Dataset, source: string) =>
    gatherItems(rows, model, source, { ...options, length, paired, onNotice });
  const read = async (path: 'data' | 'evaluation.data', name: string) => {
    const accept: Format[] = ['preference', 'implicit-preference'];
    const source = await openSource(path, name, live);
    const rows = readSource(source, {
      onBadRow: options.onBadRow,
      accept: paired ? accept : [...accept, 'unpaired-preference'],
      onSkip: (row) => onNotice?.(`left out ${describeBadRow(row)}`),
    });
    return gather(rows, source.name);
  };
  if (data === undefined) {
    const drawn = async (count: number, by: string, from: number) => {
      const rows = await reviewComparisons(model, { comparisons: count, teacher: by, seed: from });
      return gather(
        rows.map((value) => ({ value })),
        'comparisons of the world',
      );
    };
    const train = await drawn(comparisons, teacher, seed);
    const heldOut = await drawn(evaluation.comparisons, 'oracle', seedFor(seed, 'held-out comparisons'));
    return { train, heldOut, prompts: worldPrompts(model.tokenizer) };
  }
  const all = await read('data', data);
  const { train, heldOut } =
    evaluation.data === undefined
      ? split(all, evaluation.share, seed)
      : { train: all, heldOut: await read('evaluation.data', evaluation.data) };
  return { train, heldOut, prompts: differentPrompts((heldOut ?? train).prompts) };
}

/**
 * Items of rows: pairs as they are or as two answers each, all chosen ones first, or answers that are rated each on its own. Ties are left
 * out.
 */
async function gatherItems(
  rows: Dataset,
  { tokenizer }: Pick<Model, 'tokenizer'>,
  source: string,
  options: PairOptions & { paired: boolean },
): Promise<PreferenceItems> {
  const [first, second] = [createExamples(), createExamples()];
  const [prompts, secondPrompts]: EncodedPrompt[][] = [[], []];
  const wanted: boolean[] = [];
  let [long, ties, equal] = [0, 0, 0];
  const encode = (row: Row): Example[] => {
    if (row.chosen === undefined) {
      checkAnswer(row.completion, 'completion');
      return [encodeAnswer(row.prompt, row.completion, tokenizer)];
    }
    const { chosen, rejected } = encodePair(row, tokenizer);
    return [chosen, rejected];
  };
  for await (const { row, answers } of encodedRows(rows, source, options, encode)) {
    if (row.tie === true) {
      ties++;
      continue;
    }
    if (answers.some(({ ids }) => ids.length > options.length)) long++;
    const fitted = fitAll(answers, options);
    if (!fitted) continue;
    if (sameTokens(fitted)) {
      equal++;
      continue;
    }
    const [answer, rejected] = fitted;
    const prompt = promptOf(answer, row);
    first.add(answer);
    prompts.push(prompt);
    wanted.push(rejected !== undefined || row.label === true);
    if (!rejected) continue;
    second.add(rejected);
    secondPrompts.push(prompt);
  }
  if (prompts.length === 0) throw nothingLeft(source, { long, equal }, options.length);
  if (long > 0) {
    const what = options.truncate === 'drop' ? 'left out' : 'cut';
    options.onNotice?.(`"${source}": ${what} ${long} longer than ${options.length} tokens (--length, --truncate)`);
  }
  if (equal > 0) options.onNotice?.(equalNotice(source, equal));
  if (ties > 0) options.onNotice?.(`"${source}": left out ${ties} of which neither answer is better`);
  if (options.paired) return { sides: [first, second], prompts };
  // chosen answers before all rejected ones, so that the next with another prompt is mostly of the same kind
  for (const i of second.lengths.keys()) first.add(second.at(i));
  return rated(first, [...wanted, ...secondPrompts.map(() => false)], [...prompts, ...secondPrompts], options.length);
}

/** Answers on their own; each with a partner where there are several prompts: the next answer to another, behind its own prompt. */
function rated(
  answers: Examples,
  desirable: readonly boolean[],
  prompts: readonly EncodedPrompt[],
  length: number,
): PreferenceItems {
  const partners = createExamples();
  const keys = prompts.map(({ ids }) => keyOf(ids));
  const count = prompts.length;
  if (keys.every((key) => key === keys[0])) return { sides: [answers], desirable, prompts };
  for (let i = 0; i < count; i++) {
    let other = (i + 1) % count;
    while (keys[other] === keys[i] && other !== i) other = (other + 1) % count;
    const { ids, learn } = answers.at(other);
    const answer = Array.from(ids).filter((_, t) => learn![t] === 1);
    const own = Array.from(prompts[i].ids);
    const whole = [...own, ...answer].slice(0, length);
    partners.add({ ids: whole, learn: new Uint8Array(whole.length).fill(1, own.length) });
  }
  return { sides: [answers], desirable, prompts, partners };
}

/** The tokens before an answer as a prompt of their own. */
function promptOf({ ids, learn }: Example, row: Row): EncodedPrompt {
  const { prompt } = row.chosen === undefined ? row : promptedPair(row);
  const text = typeof prompt === 'string' ? prompt : String((prompt as Message[]).at(-1)?.content ?? '');
  return { ids: Array.from(ids).slice(0, Array.from(learn!).indexOf(1)), text, row };
}

const keyOf = (ids: readonly number[]): string => ids.join();

/** Each prompt once. */
function differentPrompts(prompts: readonly EncodedPrompt[]): EncodedPrompt[] {
  const seen = new Map(prompts.map((prompt) => [keyOf(prompt.ids), prompt]));
  return [...seen.values()];
}

/** A share of the prompts, drawn by the seed, with all of their items. */
function split(items: PreferenceItems, share: number, seed: number): Pick<PreferenceData, 'train' | 'heldOut'> {
  const keys = items.prompts.map(({ ids }) => keyOf(ids));
  const different = [...new Set(keys)];
  const held = new Set(holdOut(different.length, share, seed).held.map((i) => different[i]));
  const of = (isHeld: boolean) => [...keys.keys()].filter((i) => held.has(keys[i]) === isHeld);
  return { train: some(items, of(false)), heldOut: held.size > 0 ? some(items, of(true)) : undefined };
}

const some = (
  { sides, desirable, partners, prompts }: PreferenceItems,
  indices: readonly number[],
): PreferenceItems => ({
  sides: sides.map((side) => subset(side, indices)),
  desirable: desirable && indices.map((i) => desirable[i]),
  partners: partners && subset(partners, indices),
  prompts: indices.map((i) => prompts[i]),
});

/** A checksum by which a resumed training knows that its data is the same. */
export function preferenceFingerprint(items: Items): string {
  const hash = createHash('sha256');
  for (const side of items.sides) hash.update(fingerprint(side));
  for (let i = 0; i < countOf(items); i++) hash.update(String(items.desirable?.[i]));
  return hash.digest('hex');
}
