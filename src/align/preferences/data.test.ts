import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../lm/model.ts';
import { itemCount } from './batch.ts';
import { type PreferenceItems, readPreferences } from './data.ts';
import { dpoSchema } from './dpo.ts';

const llama = fileURLToPath(new URL('../../../test/fixtures/models/tiny-llama', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'heed-preferences-'));
let model: Model;
beforeAll(async () => {
  model = await loadModel(llama);
});
afterAll(() => {
  model.parameters[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

let files = 0;
function dataOf(rows: readonly object[]): string {
  const path = join(folder, `${files++}.jsonl`);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

const pair = (prompt: string, chosen: string, rejected: string) => ({ prompt, chosen, rejected });
const four = [
  pair('A', ' one', ' two'),
  pair('A', ' three', ' four'),
  pair('B', ' five', ' six'),
  pair('C', ' 7', ' 8'),
];

const read = (rows: readonly object[], paired: boolean, more: object = {}, onNotice?: (text: string) => void) =>
  readPreferences(
    dpoSchema.parse({ model: llama, data: dataOf(rows), evaluation: { share: 0 }, ...more }),
    model,
    paired,
    {
      onNotice,
    },
  );

/** Prompt and completion of each example of each side. */
const textsOf = ({ sides }: PreferenceItems) =>
  sides.map((side) =>
    side.lengths.map((_, i) => {
      const { ids, learn } = side.at(i);
      const part = (kind: number) => Array.from(ids).filter((_, t) => learn![t] === kind);
      return `${model.tokenizer.decode(part(0))}|${model.tokenizer.decode(part(1))}`;
    }),
  );

it('takes pairs as they are', async () => {
  const { train, heldOut, prompts } = await read(four, true);
  expect(textsOf(train)).toEqual([
    ['A| one', 'A| three', 'B| five', 'C| 7'],
    ['A| two', 'A| four', 'B| six', 'C| 8'],
  ]);
  expect(heldOut).toBeUndefined();
  expect(prompts.map(({ text }) => text)).toEqual(['A', 'B', 'C']);
  expect(prompts[0].ids).toEqual(model.tokenizer.encode('A'));
});

it('leaves pairs of the same tokens out, as pairs and as rated completions', async () => {
  const same = pair('A', ' one two three four five six seven', ' one two three four five six eight');
  const cut = { length: 6, truncate: 'start' }; // where they do not differ yet
  for (const [paired, sides] of [
    [true, [4, 4]],
    [false, [8]],
  ] as const) {
    const notices: string[] = [];
    const { train } = await read([...four, same], paired, cut, (text) => notices.push(text));
    expect(train.sides.map(({ lengths }) => lengths.length)).toEqual(sides);
    expect(notices.at(-2)).toEqual(expect.stringContaining('left out 1 whose completions have the same tokens'));
    expect(notices.at(-1)).toMatch(/: 5 rows, preference; \d+ % of \d+ tokens are learned$/);
    await expect(read([same], paired, cut)).rejects.toThrow(/the completions of 1 have the same tokens/);
  }
});

it('splits pairs, and gives each completion a partner from another prompt', async () => {
  const { train } = await read(four, false);
  expect(textsOf(train)).toEqual([['A| one', 'A| three', 'B| five', 'C| 7', 'A| two', 'A| four', 'B| six', 'C| 8']]);
  expect(train.desirable).toEqual([true, true, true, true, false, false, false, false]);
  expect(textsOf({ ...train, sides: [train.partners!] })[0]).toEqual([
    ...['A| five', 'A| five', 'B| 7', 'C| two'],
    ...['A| six', 'A| six', 'B| 8', 'C| one'],
  ]);
});

it('takes rated completions, of text and of messages', async () => {
  const say = (role: string, content: string) => [{ role, content }];
  const rows = [
    { prompt: say('user', 'Hi'), completion: say('assistant', 'Hello.'), label: true },
    { prompt: say('user', 'Go'), completion: say('assistant', 'No.'), label: false },
  ];
  const { train, prompts } = await read(rows, false);
  expect(train.desirable).toEqual([true, false]);
  expect(prompts.map(({ text }) => text)).toEqual(['Hi', 'Go']);
  const texts = [
    { prompt: 'Hi', completion: ' there', label: false },
    { prompt: 'A', completion: ' b', label: true },
  ];
  expect((await read(texts, false)).train.desirable).toEqual([false, true]);
});

it('holds out prompts with all of their pairs', async () => {
  const rows = Array.from({ length: 40 }, (_, i) => pair(`Question ${i % 10}`, ` good ${i}`, ` bad ${i}`));
  const { train, heldOut, prompts } = await read(rows, true, { evaluation: { share: 0.3 } });
  const of = (items: PreferenceItems) => new Set(items.prompts.map(({ text }) => text));
  expect([itemCount(train), itemCount(heldOut!)]).toEqual([28, 12]);
  expect([...of(heldOut!)].filter((text) => of(train).has(text))).toEqual([]);
  expect(prompts).toHaveLength(3);
  const again = await read(rows, true, { evaluation: { share: 0.3 } });
  expect(textsOf(again.train)).toEqual(textsOf(train));
});

it('keeps weights with their rows, and refuses others than numbers from 0 up', async () => {
  const weighted = [{ ...four[0], weight: 0.5 }, four[2]];
  expect((await read(weighted, true)).train.weights).toEqual([0.5, 1]);
  expect((await read(weighted, false)).train.weights).toEqual([0.5, 1, 0.5, 1]);
  expect((await read(four, true)).train.weights).toBeUndefined();
  await expect(read([{ ...four[0], weight: -1 }], true)).rejects.toThrow(
    /line 1.*weight: expected a number of at least 0/,
  );
});

it('reports ratings that are all the same', async () => {
  const noticesOf = async (labels: readonly boolean[]) => {
    const notices: string[] = [];
    const rows = labels.map((label, i) => ({ prompt: `Q${i}`, completion: ` a${i}`, label }));
    await read(rows, false, {}, (text) => notices.push(text));
    return notices.filter((text) => !text.includes('are learned')).join();
  };
  expect(await noticesOf([true, true, true])).toContain('all 3 completions are labeled true');
  expect(await noticesOf([false, false])).toContain('so nothing shows what is better');
  expect(await noticesOf([true, false, true])).toBe('');
});

it('leaves ties out', async () => {
  const notes: string[] = [];
  const rows = [{ ...pair('D', ' x', ' y'), tie: true }, ...four, { ...pair('E', ' x', ' y'), tie: false }];
  const { train, prompts } = await read(rows, true, {}, (text) => notes.push(text));
  expect(itemCount(train)).toBe(5);
  expect(prompts.map(({ text }) => text)).toEqual(['A', 'B', 'C', 'E']);
  expect(notes).toEqual([expect.stringMatching(/left out 1 ties/), expect.stringMatching(/: 6 rows, preference; /)]);
});

it('leaves out, cuts or refuses what is too long', async () => {
  const rows = [...four, pair('D', ' short', ' very'.repeat(40))];
  const notes: string[] = [];
  const dropped = await read(rows, true, { length: 16 }, (text) => notes.push(text));
  expect(itemCount(dropped.train)).toBe(4);
  expect(notes).toEqual([
    expect.stringMatching(/left out 1 longer than 16 tokens/),
    expect.stringMatching(/: 5 rows, preference; /),
  ]);
  const cut = await read(rows, true, { length: 16, truncate: 'start' });
  expect(cut.train.sides[1].lengths).toHaveLength(5);
  expect(Math.max(...cut.train.sides[1].lengths)).toBe(16);
  await expect(read(rows, true, { length: 16, truncate: 'error' })).rejects.toThrow(/line 5/);
});

describe('says what is wrong with', () => {
  it.each<[string, object[], boolean, object, RegExp]>([
    [
      'equal completions',
      [...four, pair('A', ' same', ' same')],
      true,
      {},
      /line 5: "chosen" and "rejected" are equal/,
    ],
    ['an empty completion', [...four, pair('A', '', ' b')], true, {}, /line 5/],
    [
      'an empty rated completion',
      [{ prompt: 'A', completion: ' ', label: true }],
      false,
      {},
      /line 1.*completion.*empty/,
    ],
    [
      'rated completions where pairs are needed',
      [{ prompt: 'A', completion: 'b', label: true }],
      true,
      {},
      /preference/,
    ],
    ['nothing that is short enough', four, true, { length: 2 }, /no comparison to learn from: 4 are longer than 2/],
    [
      'completions longer than the model',
      four,
      true,
      { length: 5000 },
      /--length is 5000 tokens, but the model has \d+ positions/,
    ],
  ])('%s', async (_, rows, paired, more, message) => {
    await expect(read(rows, paired, more)).rejects.toThrow(message);
  });
});
