import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Row } from '../../data/index.ts';
import { loadTokenizer } from '../../lm/tokenizer.ts';
import { encodePair, equalNotice, gatherPairs, type PairOptions } from './pairs.ts';

const at = (path: string) => fileURLToPath(new URL(`../../../test/fixtures/${path}`, import.meta.url));
const tokenizers = Object.fromEntries(
  ['tiny-llama', 'tiny-qwen2'].map((name) => [name, loadTokenizer(at(`models/${name}`))]),
);
const llama = tokenizers['tiny-llama'];

interface Case {
  trainer: string;
  dataset: string;
  tokenizer: string;
  options: { max_length?: number };
  rows: { prompt_ids: number[]; chosen_ids: number[]; rejected_ids: number[] }[];
}
const { cases, datasets } = JSON.parse(readFileSync(at('data/preprocess.json'), 'utf8')) as {
  cases: Case[];
  datasets: Record<string, Record<string, unknown>[]>;
};
const named = (trainer: string) =>
  cases
    .filter((each) => each.trainer === trainer)
    .map((each) => [each.dataset, each.tokenizer, JSON.stringify(each.options), each] as const);

const whole: PairOptions = { length: 1024, truncate: 'drop' };
const gather = (rows: readonly object[], options: Partial<PairOptions> = {}) =>
  gatherPairs(
    rows.map((value) => ({ value: value as Record<string, unknown> })),
    llama,
    'pairs.jsonl',
    { ...whole, ...options },
  );
const idsOf = (ids: ArrayLike<number>) => Array.from(ids);

describe("as TRL's reward trainer prepares them", () => {
  it.each(named('reward'))('%s by %s %s', async (dataset, tokenizer, _, { rows, options }) => {
    const values = datasets[dataset].map((value) => ({ value }));
    const length = options.max_length ?? 1024;
    const { chosen, rejected } = await gatherPairs(values, tokenizers[tokenizer], dataset, { ...whole, length });
    const got = chosen.lengths.map((_, i) => ({
      chosen_ids: idsOf(chosen.at(i).ids),
      rejected_ids: idsOf(rejected.at(i).ids),
    }));
    expect(got).toEqual(rows.map(({ chosen_ids, rejected_ids }) => ({ chosen_ids, rejected_ids })));
  });
});

describe("as TRL's DPO trainer prepares them", () => {
  it.each(named('dpo'))('%s by %s %s', (dataset, tokenizer, _, { rows }) => {
    for (const [i, { prompt_ids, chosen_ids, rejected_ids }] of rows.entries()) {
      const { chosen, rejected } = encodePair(datasets[dataset][i], tokenizers[tokenizer]);
      for (const [{ ids, learn }, completion] of [
        [chosen, chosen_ids],
        [rejected, rejected_ids],
      ] as const) {
        const begin = Array.from(learn!).indexOf(1);
        // a token over the end of the prompt belongs to the completion, where TRL leaves half of it out
        const over = idsOf(ids)[prompt_ids.length - 1] !== prompt_ids.at(-1) ? 1 : 0;
        expect(begin).toBe(prompt_ids.length - over);
        expect(idsOf(ids).slice(0, begin)).toEqual(prompt_ids.slice(0, begin));
        expect(idsOf(ids).slice(begin + over)).toEqual(completion);
      }
    }
  });
});

const pair = { prompt: 'What is 2+2? ', chosen: 'Four.', rejected: 'The answer is five, I think.' };

it('cuts or drops what is too long, and counts it', async () => {
  const dropped = await gather([pair, { ...pair, rejected: 'No.' }], { length: 16 });
  expect([dropped.rows.length, dropped.long]).toEqual([1, 1]);
  const ends = await gather([pair], { length: 16, truncate: 'end' });
  const { rejected } = encodePair(pair, llama);
  expect(idsOf(ends.rejected.at(0).ids)).toEqual(idsOf(rejected.ids).slice(-16));
  const starts = await gather([pair], { length: 16, truncate: 'start' });
  expect(idsOf(starts.rejected.at(0).ids)).toEqual(idsOf(rejected.ids).slice(0, 16));
  await expect(gather([pair], { length: 4, truncate: 'start' })).rejects.toThrow(/1 are longer than 4 tokens/);
  await expect(gather([pair], { length: 16, truncate: 'error' })).rejects.toThrow(
    /"pairs.jsonl", line 1: a completion has \d+ tokens/,
  );
});

describe('completions of other words than the tokenizer knows', () => {
  const reviews = loadTokenizer(fileURLToPath(new URL('../../../models/reviews-base', import.meta.url)));
  const unknown = { prompt: 'cafe', chosen: 'good ness', rejected: 'good grief' };
  const gatherReviews = (rows: readonly Row[]) =>
    gatherPairs(
      rows.map((value) => ({ value })),
      reviews,
      'pairs.jsonl',
      whole,
    );

  it('are left out, and counted', async () => {
    const { rows, equal } = await gatherReviews([unknown, { ...unknown, rejected: 'good' }, unknown]);
    expect([rows.length, equal]).toEqual([1, 2]);
    expect(equalNotice('pairs.jsonl', equal)).toMatch(/left out 2 whose completions have the same tokens/);
  });

  it('are refused where nothing else is left', async () => {
    const refusal = gatherReviews([unknown]);
    await expect(refusal).rejects.toThrow(/no comparison to learn from: the completions of 1 have the same tokens/);
    await expect(refusal).rejects.toHaveProperty('hint', expect.stringContaining('does the model fit the data?'));
  });
});

it('refuses equal and empty completions by file and line, or leaves them out', async () => {
  const equal = { ...pair, rejected: pair.chosen };
  const empty = { ...pair, prompt: undefined, chosen: [], rejected: [] };
  const silent = {
    prompt: [{ role: 'user', content: 'Hi' }],
    chosen: [{ role: 'assistant', content: ' ' }],
    rejected: [{ role: 'assistant', content: 'Hello' }],
  };
  await expect(gather([pair, equal])).rejects.toThrow(/"pairs.jsonl", line 2: "chosen" and "rejected" are equal/);
  await expect(gather([empty])).rejects.toThrow(/line 1: "chosen" is an empty completion/);
  await expect(gather([silent])).rejects.toThrow(/"chosen" is an empty completion/);
  const notices: string[] = [];
  const usable = await gather([equal, pair, silent], { onBadRow: 'skip', onNotice: (text) => notices.push(text) });
  expect(usable.rows).toEqual([pair]);
  expect(notices).toHaveLength(2);
  await expect(gather([])).rejects.toThrow(/has no comparison to learn from/);
});
