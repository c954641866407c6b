import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../lm/tokenizer.ts';
import { encodeRow, type Loss } from './encode.ts';
import { gatherExamples } from './examples.ts';

const at = (path: string) => fileURLToPath(new URL(`../../../test/fixtures/${path}`, import.meta.url));
const tokenizerOf = (name: string) => loadTokenizer(at(`models/${name}`));

interface Case {
  trainer: string;
  dataset: string;
  tokenizer: string;
  options: { assistant_only_loss?: boolean; completion_only_loss?: boolean; max_length?: number; packing?: boolean };
  rows: { input_ids: number[]; labels: number[] }[];
}
const { cases, datasets } = JSON.parse(readFileSync(at('data/preprocess.json'), 'utf8')) as {
  cases: Case[];
  datasets: Record<string, Record<string, unknown>[]>;
};
const sft = cases.filter(({ trainer, options }) => trainer === 'sft' && !options.packing);

/** TRL learns whole conversations by default. */
const lossOf = ({ dataset, options }: Case): Loss | undefined => {
  if (options.completion_only_loss === false) return 'all';
  return dataset === 'chat' && !options.assistant_only_loss ? 'all' : undefined;
};

describe('as TRL prepares them', () => {
  it.each(sft.map((each) => [each.dataset, each.tokenizer, JSON.stringify(each.options), each] as const))(
    '%s by %s %s',
    async (dataset, tokenizer, _, each) => {
      const rows = datasets[dataset].map((value) => ({ value }));
      const { examples } = await gatherExamples(rows, tokenizerOf(tokenizer), dataset, {
        length: each.options.max_length ?? 1024,
        loss: lossOf(each),
        truncate: 'cut',
      });
      const got = each.rows.map((_, i) => {
        const { ids, learn } = examples.at(i);
        return { input_ids: [...(ids as Int32Array)], labels: Array.from(ids, (id, t) => (learn![t] ? id : -100)) };
      });
      expect(got).toEqual(each.rows.map(({ input_ids, labels }) => ({ input_ids, labels })));
    },
  );
});

const llama = tokenizerOf('tiny-llama');

it("learns the assistant's messages by default", () => {
  const { ids, learn } = encodeRow(datasets.chat[0], llama);
  const learned = Array.from(ids).filter((_, i) => learn![i]);
  expect(llama.decode(learned, { skipSpecialTokens: false })).toBe('Hello.<|im_end|>Four.<|im_end|>');
});

it('reads what a token that reaches over the end of the prompt shares with it', () => {
  const { ids, learn } = encodeRow({ prompt: 'What is th', completion: 'e sum' }, llama);
  const prompt = llama.encode('What is th');
  const shared = prompt.findIndex((id, i) => id !== ids[i]);
  expect(shared).toBeGreaterThan(0);
  expect(Array.from(learn!).indexOf(1)).toBe(shared);
});

it.each(['tiny-llama', 'tiny-qwen2'])('ends and begins a text once, with %s', (name) => {
  const tokenizer = tokenizerOf(name);
  const [bos, eos] = [tokenizer.bos, tokenizer.eos].map((id) => (id === undefined ? '' : tokenizer.tokenOf(id)!));
  const plain = encodeRow({ prompt: 'red', completion: ' sun' }, tokenizer);
  expect(Array.from(plain.ids).filter((id) => id === tokenizer.eos)).toHaveLength(1);
  expect(encodeRow({ prompt: 'red', completion: ` sun${eos}` }, tokenizer)).toEqual(plain);
  expect(encodeRow({ text: `red sun${eos}` }, tokenizer)).toEqual(encodeRow({ text: 'red sun' }, tokenizer));
  const adds = plain.ids[0] === tokenizer.bos;
  if (adds) expect(encodeRow({ prompt: `${bos}red`, completion: ' sun' }, tokenizer)).toEqual(plain);
});

it('refuses a loss that the data does not know, and a tokenizer without an end', () => {
  expect(() => encodeRow({ text: 'a' }, llama, 'assistant')).toThrow(/over "assistant" tokens, but the data is text/);
  expect(() => encodeRow(datasets.pc[0], llama, 'assistant')).toThrow(/completion or all/);
  expect(() => encodeRow(datasets.chat[0], llama, 'completion')).toThrow(/assistant or all/);
  expect(() => encodeRow({ text: 'a' }, { ...llama, eos: undefined })).toThrow(/no EOS token/);
  expect(() => encodeRow(datasets.chat[0], { ...llama, chatTemplate: undefined, chatTemplates: {} })).toThrow(
    /no chat template/,
  );
});
