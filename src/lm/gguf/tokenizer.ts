/**
 * Tokenizers of GGUF files as the files of Transformers: "gpt2", byte-level BPE with its merges, and "llama",
 * SentencePiece's BPE, whose merges follow from the scores of its tokens.
 */
import { bytePairModel } from '../tokenizer/byte-pairs.ts';
import { architectureOf } from './architectures.ts';
import type { MetadataReader } from './metadata.ts';
import { preTokenizer, WORDS } from './words.ts';

type Json = Record<string, unknown>;

/** The text of a tokenizer's files by name. */
export type TokenizerTexts = { 'tokenizer.json': string; 'tokenizer_config.json': string };

/** Kinds of tokens, by their numbers in files. */
export const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const HINT = 'Use the folder of the same model in Transformers’ format, or convert it again with llama.cpp.';
/** The mark of a space in SentencePiece's tokens. */
export const SPACE = '▁';

interface Vocabulary {
  tokens: readonly string[];
  kinds: ArrayLike<number> | undefined;
}

/** Whether a file has a tokenizer. */
export const hasTokenizer = (from: MetadataReader): boolean => from.texts('tokenizer.ggml.tokens') !== undefined;

/**
 * The tokenizer.json and tokenizer_config.json of a file's tokenizer.
 *
 * @throws HeedError for a tokenizer of another kind, or one that does not say how it splits text.
 */
export function readTokenizer(from: MetadataReader): TokenizerTexts {
  const model = from.text('tokenizer.ggml.model');
  const tokens = from.texts('tokenizer.ggml.tokens');
  if (model === undefined || tokens === undefined) {
    architectureOf(from); // what holds no model says so
    throw from.fail('it has no tokenizer', HINT);
  }
  const vocabulary = { tokens, kinds: from.numbers('tokenizer.ggml.token_type') };
  if (vocabulary.kinds && vocabulary.kinds.length !== tokens.length) {
    throw from.fail(`it has ${tokens.length} tokens, but the kinds of ${vocabulary.kinds.length}`);
  }
  if (model !== 'gpt2' && model !== 'llama') {
    throw from.fail(`its tokenizer is "${model}"; supported are gpt2 (byte-level BPE) and llama (SentencePiece)`, HINT);
  }
  const { json, begins } = model === 'gpt2' ? byteLevel(from, vocabulary) : sentencePiece(from, vocabulary);
  return {
    'tokenizer.json': JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(vocabulary),
      ...json,
      post_processor: postProcessor(from, vocabulary, begins),
    }),
    'tokenizer_config.json': JSON.stringify(tokenizerConfig(from, vocabulary)),
  };
}

/** Control tokens are special; user-defined ones are recognized in texts as they are. */
function addedTokens({ tokens, kinds }: Vocabulary): Json[] {
  return tokens.flatMap((content, id) => {
    const kind = kinds?.[id];
    const special = kind === KIND.control || kind === KIND.unknown;
    if (!special && kind !== KIND.userDefined) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

/** Ids of tokens by text, without those that stand for nothing. */
function vocabularyOf({ tokens, kinds }: Vocabulary): Record<string, number> {
  const ids: Record<string, number> = Object.create(null);
  for (const [id, token] of tokens.entries()) if (kinds?.[id] !== KIND.unused && !(token in ids)) ids[token] = id;
  return ids;
}

function byteLevel(from: MetadataReader, vocabulary: Vocabulary): { json: Json; begins: boolean } {
  const pre = from.text('tokenizer.ggml.pre');
  if (pre === undefined || pre === 'default') {
    throw from.fail(
      `its tokenizer ${pre === undefined ? 'has no' : 'has the'} "tokenizer.ggml.pre"${pre ? ' "default"' : ''}: how it splits text into words is not known`,
      HINT,
    );
  }
  const words = WORDS.find(({ names }) => names.includes(pre));
  if (!words) {
    const known = WORDS.flatMap(({ names }) => names).join(', ');
    throw from.fail(`its tokenizer splits text by "${pre}"; supported are ${known}`, HINT);
  }
  const merges = from.texts('tokenizer.ggml.merges');
  if (merges === undefined) throw from.fail('its tokenizer has no "tokenizer.ggml.merges"', HINT);
  const wrong = merges.find((merge) => !/^\S+ \S+$/.test(merge));
  if (wrong !== undefined) throw from.fail(`its tokenizer has the merge ${JSON.stringify(wrong)}, expected two tokens`);
  return {
    begins: words.begins === true,
    json: {
      normalizer: words.normalizer ? { type: words.normalizer } : null,
      pre_tokenizer: preTokenizer(words),
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: bytePairModel(
        vocabularyOf(vocabulary),
        merges.map((merge) => merge.split(' ')),
        { ignore_merges: words.ignoreMerges === true },
      ),
    },
  };
}

function sentencePiece(from: MetadataReader, vocabulary: Vocabulary): { json: Json; begins: boolean } {
  const scores = from.numbers('tokenizer.ggml.scores');
  const { tokens, kinds } = vocabulary;
  if (!scores || scores.length !== tokens.length) {
    throw from.fail(`its tokenizer has ${scores?.length ?? 'no'} scores for ${tokens.length} tokens`, HINT);
  }
  const prefix = from.flag('tokenizer.ggml.add_space_prefix') ?? true;
  const replace = (pattern: string, content: string): Json => ({
    type: 'Replace',
    pattern: { String: pattern },
    content,
  });
  const spaces = replace(' ', SPACE);
  const unknown = tokens.find((_, id) => kinds?.[id] === KIND.unknown) ?? tokens[unknownId(from)];
  const decoders = [replace(SPACE, ' '), { type: 'ByteFallback' }, { type: 'Fuse' }];
  const vocab = vocabularyOf(vocabulary);
  return {
    begins: true,
    json: {
      normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: SPACE }, spaces] } : spaces,
      pre_tokenizer: null,
      decoder: {
        type: 'Sequence',
        decoders: [...decoders, ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [])],
      },
      model: bytePairModel(
        vocab,
        mergesOf(vocab, (id) => (kinds === undefined || kinds[id] === KIND.normal ? scores[id] : undefined)),
        { unk_token: unknown ?? null, fuse_unk: true, byte_fallback: true },
      ),
    },
  };
}

const unknownId = (from: MetadataReader): number => from.numberAt('tokenizer.ggml.unknown_token_id') ?? 0;

/**
 * The merges by which BPE finds the tokens that SentencePiece's scores give: each pair that makes up a token, the highest
 * score first. `scoreOf` is undefined for tokens that no merge may make.
 */
export function mergesOf(
  vocab: Readonly<Record<string, number>>,
  scoreOf: (id: number) => number | undefined,
): [string, string][] {
  const ids = new Map(Object.entries(vocab)); // looks up parts of tokens faster than an object does
  const found: { pair: [string, string]; score: number }[] = [];
  for (const [token, id] of ids) {
    const score = scoreOf(id);
    if (score === undefined) continue;
    const pairs: [string, string][] = [];
    for (let i = 1; i < token.length; i++) {
      const pair: [string, string] = [token.slice(0, i), token.slice(i)];
      if (ids.has(pair[0]) && ids.has(pair[1])) pairs.push(pair);
    }
    pairs.sort((a, b) => ids.get(a[0])! - ids.get(b[0])! || ids.get(a[1])! - ids.get(b[1])!);
    for (const pair of pairs) found.push({ pair, score });
  }
  const longer = (a: [string, string], b: [string, string]) => b[0].length - a[0].length || b[1].length - a[1].length;
  return found.sort((a, b) => b.score - a.score || longer(a.pair, b.pair)).map(({ pair }) => pair);
}

/** Adds the tokens that begin and end a text, where the file says so, or its kind of tokenizer does. */
function postProcessor(from: MetadataReader, { tokens }: Vocabulary, begins: boolean): Json | null {
  const special = (name: string, added: boolean) => {
    const id = from.numberAt(`tokenizer.ggml.${name}_token_id`);
    return added && id !== undefined && tokens[id] !== undefined ? [{ id, token: tokens[id] }] : [];
  };
  const first = special('bos', from.flag('tokenizer.ggml.add_bos_token') ?? begins);
  const last = special('eos', from.flag('tokenizer.ggml.add_eos_token') ?? false);
  if (first.length + last.length === 0) return null;
  const marks = (list: typeof first, type_id: number) =>
    list.map(({ token }) => ({ SpecialToken: { id: token, type_id } }));
  const sequence = (id: 'A' | 'B', type_id: number) => [
    ...marks(first, type_id),
    { Sequence: { id, type_id } },
    ...marks(last, type_id),
  ];
  return {
    type: 'TemplateProcessing',
    single: sequence('A', 0),
    pair: [...sequence('A', 0), ...sequence('B', 1)],
    special_tokens: Object.fromEntries(
      [...first, ...last].map(({ id, token }) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}

function tokenizerConfig(from: MetadataReader, { tokens }: Vocabulary): Json {
  const named = (field: string, name: string): Json => {
    const id = from.numberAt(`tokenizer.ggml.${name}_token_id`);
    if (id === undefined) return {};
    if (tokens[id] === undefined) {
      throw from.fail(`its "tokenizer.ggml.${name}_token_id" is ${id}, but it has ${tokens.length} tokens`, HINT);
    }
    return { [field]: tokens[id] };
  };
  const template = from.text('tokenizer.chat_template');
  const others = (from.texts('tokenizer.chat_templates') ?? []).flatMap((name) => {
    const text = from.text(`tokenizer.chat_template.${name}`);
    return text === undefined ? [] : [{ name, template: text }];
  });
  const all = [...(template === undefined ? [] : [{ name: 'default', template }]), ...others];
  return {
    ...named('bos_token', 'bos'),
    ...named('eos_token', 'eos'),
    ...named('pad_token', 'padding'),
    ...named('unk_token', 'unknown'),
    ...(all.length > 0 && { chat_template: others.length > 0 ? all : template }),
    clean_up_tokenization_spaces: false,
    model_max_length: from.number('context_length', 2048),
    tokenizer_class: 'PreTrainedTokenizerFast',
  };
}

/** The generation_config.json of a file: the tokens that end a response, be it a text, a turn or a message. */
export function readEnds(from: MetadataReader): Record<string, unknown> {
  const idOf = (name: string) => from.numberAt(`tokenizer.ggml.${name}_token_id`);
  const ends = [...new Set(['eos', 'eot', 'eom'].map(idOf))].filter((id) => id !== undefined);
  const [bos, pad] = [idOf('bos'), idOf('padding')];
  return {
    ...(bos !== undefined && { bos_token_id: bos }),
    ...(pad !== undefined && { pad_token_id: pad }),
    ...(ends.length > 0 && { eos_token_id: ends }),
  };
}
