import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeedError } from '../../error.ts';
import { loadTokenizer } from '../../lm/tokenizer.ts';
import { type DataUse, type TokenSequence, viewTokens } from './token-view.ts';

const tokenizerOf = (name: string) =>
  loadTokenizer(fileURLToPath(new URL(`../../../test/fixtures/models/${name}`, import.meta.url)));
const qwen = tokenizerOf('tiny-qwen2');

async function view(rows: object[], options: Parameters<typeof viewTokens>[2] = {}, tokenizer = qwen) {
  const found: TokenSequence[] = [];
  for await (const sequence of viewTokens(rows, tokenizer, options)) found.push(sequence);
  return found;
}

const says = (role: string, content: string) => ({ role, content });
const chat = [says('user', 'Q1'), says('assistant', 'A1'), says('user', 'Q2'), says('assistant', 'A2')];
const [question, answer] = [[says('user', 'Q1')], [says('assistant', 'A1')]];
const END = '<|im_end|>';

// a table to be checked by eye: what a row is, what it is for, and what is learned of it
it.each<[name: string, row: object, purpose: DataUse, learned: string[], unused?: string[]]>([
  ['text', { text: 'A1 b', id: 7 }, 'sft', [`1 b${END}`], ['id']],
  ['prompt and completion', { prompt: 'Q1', completion: ' A1' }, 'sft', [` A1${END}`]],
  ['messages', { messages: chat }, 'sft', [`A1${END}A2${END}`]],
  ['messages beside a text', { messages: chat, text: 'x' }, 'sft', [`A1${END}A2${END}`], ['text']],
  ['a silent message', { messages: chat.map((m, i) => (i === 1 ? { ...m, weight: 0 } : m)) }, 'sft', [`A2${END}`]],
  [
    'ShareGPT',
    {
      conversations: [
        { from: 'human', value: 'Q1' },
        { from: 'gpt', value: 'A1' },
      ],
    },
    'sft',
    [`A1${END}`],
  ],
  ['Alpaca', { instruction: 'Q1', input: '', output: 'A1', source: 's' }, 'sft', [`A1${END}\n`], ['source']],
  ['a pair', { prompt: 'Q1', chosen: ' A1', rejected: ' B1' }, 'dpo', [` A1${END}`, ` B1${END}`]],
  ['a pair with a question', { question: 'Q1', chosen: 'A1', rejected: 'B1' }, 'dpo', [`A1${END}\n`, `B1${END}\n`]],
  [
    'a pair with a margin',
    { prompt: 'Q', chosen: ' A', rejected: ' B', margin: 1 },
    'dpo',
    [` A${END}`, ` B${END}`],
    ['margin'],
  ],
  [
    'the same for a reward model',
    { prompt: 'Q', chosen: ' A', rejected: ' B', margin: 1 },
    'reward',
    [` A${END}`, ` B${END}`],
  ],
  [
    'a rated completion',
    { prompt: question, completion: answer, label: true, note: 'n' },
    'kto',
    [`A1${END}\n`],
    ['note'],
  ],
  ['a prompt', { prompt: question, answer: '4' }, 'ppo', ['']],
])('%s is learned as it should be', async (_, row, purpose, learned, unused = []) => {
  const found = await view([row], { for: purpose });
  expect(found.map(({ learnedText }) => learnedText)).toEqual(learned);
  expect(found[0].unused).toEqual(unused);
  for (const { ids, text, pieces, learned: spans, learnedText } of found) {
    expect(qwen.decode(ids, { skipSpecialTokens: false })).toBe(text);
    expect(pieces.map((piece) => piece.text).join('')).toBe(text);
    expect(spans.map(([from, to]) => qwen.decode(ids.slice(from, to), { skipSpecialTokens: false })).join('')).toBe(
      learnedText,
    );
  }
});

it('finds the purpose by the format, shows the first rows, and counts what is cut', async () => {
  const pairs = await view(
    [1, 2, 3].map((i) => ({ prompt: `Q${i}`, chosen: ' A', rejected: ' B' })),
    { rows: 2 },
  );
  expect(pairs.map(({ row, part }) => [row, part])).toEqual([
    [1, 'chosen'],
    [1, 'rejected'],
    [2, 'chosen'],
    [2, 'rejected'],
  ]);
  const [whole] = await view([{ messages: chat }]);
  const [short] = await view([{ messages: chat }], { length: 10 });
  expect([short.ids.length, short.cut]).toEqual([10, whole.ids.length - 10]);
});

it('learns a call with its numbers as they are written, from a file', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'heed-tokens-')), 'rows.jsonl');
  const template = `{% for m in messages %}<{{ m.role }}>{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{{ m.content or '' }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`;
  const call = (given: string) =>
    `{"messages": [{"role": "user", "content": "w?"}, {"role": "assistant", "content": "", "name": null, "tool_calls": [{"type": "function", "function": {"name": "get", "arguments": ${given}}}]}]}`;
  const given = '{"id": 1234567890123456789, "price": 10.0, "none": null}';
  writeFileSync(path, `${call(given)}\n${call(JSON.stringify(given))}\n`);
  const tokenizer = { ...qwen, chatTemplate: template, chatTemplates: { default: template } };
  const found: string[] = [];
  for await (const { learnedText } of viewTokens(path, tokenizer)) found.push(learnedText);
  expect(found).toEqual(Array(2).fill(`{"name": "get", "arguments": ${given}}</s>`));
});

it('gives the template the variables of a row', async () => {
  const template = `{% for m in messages %}[{{ m.content }}{{ mood }}]{% endfor %}`;
  const tokenizer = { ...qwen, chatTemplate: template, chatTemplates: { default: template } };
  const rows = [{ messages: chat, chat_template_kwargs: { mood: '!' } }];
  const [{ text, unused }] = await view(rows, {}, tokenizer);
  expect([text, unused]).toEqual(['[Q1!][A1!][Q2!][A2!]', []]);
  const [other] = await view([{ messages: chat }], {}, { ...tokenizer, templateVariables: { mood: '?' } });
  expect(other.text).toBe('[Q1?][A1?][Q2?][A2?]');
});

it('names the row that cannot be learned', async () => {
  const row = { messages: [says('user', 'Q'), says('assistant', 'A')] };
  const tokenizer = { ...qwen, chatTemplate: '{{ messages[0].content }}', chatTemplates: {} };
  await expect(view([row], {}, tokenizer)).rejects.toThrow(/^data, row 1: The chat template does not say/);
  await expect(view([{ prompt: 'Q', completions: ['A'], labels: [true] }])).rejects.toThrow(HeedError);
});

describe.each(['tiny-llama', 'tiny-gpt2', 'tiny-qwen2'])('whatever people write, with %s', (name) => {
  const tokenizer = tokenizerOf(name);
  it('the learned text is what the assistant says', async () => {
    const words = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => text.trim() !== '');
    await fc.assert(
      fc.asyncProperty(words, words, words, async (asked, first, second) => {
        const messages = [
          says('user', asked),
          says('assistant', first),
          says('user', asked),
          says('assistant', second),
        ];
        const [{ learnedText }] = await view([{ messages }], {}, tokenizer);
        const known = (text: string) => tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: false })).trim();
        const rest = [first, second].reduce((left, said) => left.replace(known(said), ''), learnedText);
        expect(rest.replaceAll(/<[^<>]*>|\s/g, '')).toBe('');
      }),
      { seed: 5, numRuns: 60 },
    );
  });
});
