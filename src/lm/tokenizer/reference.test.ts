/** Tokenizers of many settings against Hugging Face's: the same ids, or a refusal by name. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { HeedError } from '../../error.ts';
import { tokenizerFrom } from '../tokenizer.ts';

interface Case {
  name: string;
  json: object;
  ids: number[][];
}

const file = new URL('../../../test/fixtures/tokenizers/cases.json.gz', import.meta.url);
const { texts, tokenizers } = JSON.parse(gunzipSync(readFileSync(file)).toString()) as {
  texts: string[];
  tokenizers: Case[];
};
const open = (json: object) => tokenizerFrom({ 'tokenizer.json': JSON.stringify(json), 'tokenizer_config.json': '{}' });

const refused: Record<string, string> = {
  'bpe fuse_unk': 'fuse_unk',
  'bpe prefix': 'continuing_subword_prefix "##"',
  'unigram byte fallback': 'a Unigram model with byte_fallback',
  'unicode scripts': 'UnicodeScripts',
  'added single_word': 'single_word',
};

it.each(tokenizers.map((one) => [one.name, one] as const))('%s', (name, { json, ids }) => {
  if (name in refused) {
    expect(() => open(json)).toThrow(HeedError);
    expect(() => open(json)).toThrow(refused[name]);
    return;
  }
  const tokenizer = open(json);
  for (const [i, text] of texts.entries()) {
    expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids[i]);
  }
});
