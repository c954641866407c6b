import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { readDataset } from '../../data/dataset.ts';
import { loadTokenizer, type Tokenizer } from '../../lm/tokenizer.ts';
import { createRun, readSamples } from '../../run/run.ts';
import { accountRows, unknownShare } from './account.ts';
import { gatherExamples, listOf } from './examples.ts';
import { recordTokens, tokensTable } from './token-rows.ts';

const tokenizer = loadTokenizer(fileURLToPath(new URL('../../../test/fixtures/models/tiny-qwen2', import.meta.url)));
const turns = (question: string, completion: string) => [
  { role: 'user', content: question },
  { role: 'assistant', content: completion },
];
const rows = [
  { messages: turns('Q <|im_end|>', 'A'), id: 1 },
  { messages: turns('Q', 'A longer answer'), id: 2, source: 'web' },
  { messages: turns('Q', 'A'), id: 3 },
];

async function account() {
  const counted = accountRows(readDataset(rows), 'rows', 'sft', tokenizer);
  const found = await gatherExamples(counted.rows, tokenizer, 'rows', { length: 64, truncate: 'cut' });
  return { ...counted, lines: counted.lines([found.examples], found.cut) };
}

it('says what was read, learned and not used, and which rows have special tokens', async () => {
  const { lines } = await account();
  expect(lines).toEqual([
    expect.stringMatching(
      /^"rows": 3 rows, language-modeling, written by the chat template; \d+ % of \d+ tokens are learned; not used: id, source$/,
    ),
    expect.stringMatching(
      /^"rows": 1 row has special tokens in messages, which are read as text; --chat-template-kwargs/,
    ),
  ]);
});

it('says which letters the tokenizer drops, where it has no unknown token', async () => {
  const deaf = {
    ...tokenizer,
    unknown: undefined,
    encode: (text: string) => tokenizer.encode(text.replace(/[^ -~]/g, '')),
  };
  const lines = async (data: object[], reader: Tokenizer = deaf) => {
    const counted = accountRows(readDataset(data), 'rows', 'sft', reader);
    const { examples } = await gatherExamples(counted.rows, tokenizer, 'rows', { length: 64, truncate: 'cut' });
    return counted.lines([examples]).join('\n');
  };
  const mixed = [{ prompt: 'Ab', completion: ' Привет' }];
  expect(await lines(mixed)).toContain('"rows": the tokenizer has no token for 25 % of the letters, and drops them.');
  expect(await lines(mixed, tokenizer)).not.toContain('drops');
  expect(await lines([{ prompt: '1', completion: ' 2' }])).not.toContain('drops');
});

it('shows the first rows, in a run and in its report', async () => {
  const first = (await account()).first();
  expect(first.map(({ row, learnedText }) => [row, learnedText])).toEqual([
    [1, 'A<|im_end|>'],
    [2, 'A longer answer<|im_end|>'],
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'heed-account-'));
  const run = createRun(join(folder, 'run'), { name: 'r', command: 'sft', config: {}, seed: 0 });
  recordTokens(run, first);
  run.close();
  const [table] = tokensTable(readSamples(join(folder, 'run')) as { kind: string }[]);
  expect(table).toMatchObject({
    caption: expect.stringContaining('Columns not used: id, source.'),
    rows: [
      ['1, completion', expect.stringContaining('⟦A<|im_end|>⟧')],
      ['2, completion', expect.stringContaining('⟦A longer answer<|im_end|>⟧')],
    ],
  });
  expect(tokensTable([])).toEqual([]);
  rmSync(folder, { recursive: true });
});

it('counts learned tokens that stand for words outside the vocabulary', () => {
  const examples = listOf([
    { ids: [7, 7, 5, 7], learn: [0, 0, 1, 1] },
    { ids: [7, 5], learn: [0, 1] },
  ]);
  expect(unknownShare([examples], { unknown: 7 })).toBeCloseTo(1 / 3);
  expect(unknownShare([examples], { unknown: 9 })).toBeUndefined();
  expect(unknownShare([examples], { unknown: undefined })).toBeUndefined();
});
