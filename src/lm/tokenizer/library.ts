/**
 * Access to `@huggingface/tokenizers`: its types, which it publishes in a form that Node's resolution cannot follow,
 * and tokenizer.json in the form it expects. It lacks a few behaviors of the reference implementation (Rust
 * `tokenizers`); here they are expressed by what it supports.
 */

import { Tokenizer } from '@huggingface/tokenizers';

/**
 * SentencePiece's normalization rules as a tokenizer.json has them (`precompiled_charsmap`): a trie of what is replaced,
 * as a double array (Darts, Yata 2007), and the texts that replace it. Follows the crate spm_precompiled, to the letter.
 */

const LONGEST = 6; // bytes: longer clusters are read character by character

/** The normalizer of rules in base64. Throws for what is no such rules. */
function precompiledNormalizer(charsmap: string): (text: string) => string {
  const bytes = Uint8Array.from(atob(charsmap), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const size = view.getUint32(0, true);
  if (size % 4 !== 0 || 4 + size > bytes.length) throw new Error('its precompiled_charsmap is cut');
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const texts = bytes.subarray(4 + size);
  const clusters = new Intl.Segmenter('und', { granularity: 'grapheme' });
  const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder('utf-8', { ignoreBOM: true }) };
  const known = new Map<string, string | undefined>();

  /** What replaces the shortest beginning of a text that has a rule; undefined if none has. The rest of it is lost. */
  const replacement = (text: string): string | undefined => {
    const at = shortestMatch(units, utf8.encoder.encode(text));
    return at === undefined ? undefined : utf8.decoder.decode(texts.subarray(at, texts.indexOf(0, at)));
  };
  const replaced = (text: string): string | undefined => {
    if (!known.has(text)) known.set(text, replacement(text));
    return known.get(text);
  };
  return (text) => {
    let normal = '';
    for (const { segment } of clusters.segment(text)) {
      const whole = utf8.encoder.encode(segment).length < LONGEST ? replaced(segment) : undefined;
      normal += whole ?? Array.from(segment, (character) => replaced(character) ?? character).join('');
    }
    return normal;
  };
}

/** The value of the shortest key in a double array that the bytes begin with. */
function shortestMatch(units: Uint32Array, bytes: Uint8Array): number | undefined {
  const offset = (unit: number) => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
  let at = offset(units[0]);
  for (const byte of bytes) {
    if (byte === 0) return undefined;
    at ^= byte;
    const unit = units[at];
    if (unit === undefined || (unit & 0x800000ff) !== byte) return undefined;
    at ^= offset(unit);
    if ((unit >>> 8) & 1) return units[at] & 0x7fffffff;
  }
  return undefined;
}

export type Json = Record<string, unknown>;

/** The part of the library's tokenizer that heed uses. */
export interface TokenizersLibrary {
  /** An id is undefined for text that a model without an unknown token has no token for. */
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[]; tokens: string[] };
  decode(ids: readonly number[], options: { clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_added_tokens_decoder(): Map<number, { content: string; special: boolean }>;
  normalizer: ((text: string) => string) | null;
  pre_tokenizer: ((text: string) => string[]) | null;
  /** Tokens by id, with holes for unused ids. */
  model: { vocab: (string | undefined)[]; unk_token?: string };
  decoder: Decoder | null;
}

interface Decoder {
  decoders?: Decoder[];
  text_decoder?: InstanceType<typeof TextDecoder>;
  config: { type: string };
}

/** Throws what the library throws. */
export function openLibrary(json: Json, config: Json): TokenizersLibrary {
  const library = new Tokenizer(forLibrary(json), config) as unknown as TokenizersLibrary; // its own types are wider
  keepByteOrderMarks(library.decoder);
  keepRules(library.normalizer as Normalizer | null);
  stripUnicodeBlanks(library as unknown as AddedTokens);
  return library;
}

/** A normalizer of a tokenizer.json as a function. */
export function openNormalizer(config: Json): (text: string) => string {
  return openLibrary({ normalizer: config, model: { type: 'WordPiece', vocab: {} } }, {}).normalizer!;
}

/** A pre-tokenizer of a tokenizer.json as a function: a text's words, as the model's tokens spell them. */
export function openPreTokenizer(config: Json): (text: string) => string[] {
  return openLibrary({ pre_tokenizer: config, model: { type: 'WordPiece', vocab: {} } }, {}).pre_tokenizer!;
}

/** Without this, the library's byte fallback swallows U+FEFF wherever it is spelled in bytes. */
function keepByteOrderMarks(decoder: Decoder | null): void {
  decoder?.decoders?.forEach(keepByteOrderMarks);
  if (decoder?.config.type === 'ByteFallback') decoder.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
}

/** A part of the library's normalizer. */
interface Normalizer {
  config: Json;
  normalizers?: Normalizer[];
  normalize(text: string): string;
}

/** SentencePiece's rules as they are: the library has its own in their place. */
function keepRules(normalizer: Normalizer | null): void {
  normalizer?.normalizers?.forEach(keepRules);
  const { type, precompiled_charsmap: rules } = normalizer?.config ?? {};
  if (type === 'Precompiled' && typeof rules === 'string') normalizer!.normalize = precompiledNormalizer(rules);
}

/** What of the library's tokenizer finds added tokens in a text. */
interface AddedTokens {
  /** By what they are in a text, which may be normalized. */
  added_tokens_map: Map<string, { lstrip: boolean; rstrip: boolean }>;
  splitter_unnormalized: Splitter;
  splitter_normalized: Splitter;
}

interface Splitter {
  /** Texts and added tokens in turn. */
  split(text: string): string[];
}

/** The blanks that an added token takes along are Unicode's; the library's are JavaScript's. */
function stripUnicodeBlanks(library: AddedTokens): void {
  const strips = new Map([...library.added_tokens_map].map(([text, { lstrip, rstrip }]) => [text, { lstrip, rstrip }]));
  for (const token of library.added_tokens_map.values()) {
    token.lstrip = false;
    token.rstrip = false;
  }
  for (const splitter of [library.splitter_unnormalized, library.splitter_normalized]) {
    const split = splitter.split.bind(splitter);
    splitter.split = (text) => {
      const parts = split(text);
      for (const [i, part] of parts.entries()) {
        const { lstrip, rstrip } = strips.get(part) ?? {};
        if (lstrip && i > 0) parts[i - 1] = parts[i - 1].replace(BLANKS_AT_END, '');
        if (rstrip && i < parts.length - 1) parts[i + 1] = parts[i + 1].replace(BLANKS_AT_START, '');
      }
      return parts;
    };
  }
}

/** The words of GPT-2 (Radford et al. 2019), which a ByteLevel pre-tokenizer splits by. */
const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** The 256 characters of byte-level tokens (Radford et al. 2019), each with its byte. */
export const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = byteCharacters();

function byteCharacters(): Map<string, number> {
  const characters = new Map<string, number>();
  let next = 256; // bytes that are not printable in Latin-1 use the characters above it
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    characters.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return characters;
}

/** ASCII's punctuation, with symbols such as $, and Unicode's. */
const PUNCTUATION = '[!-\\/:-@\\[-`{-~\\p{P}]';

/** A text as a regular expression that matches it. */
export const escapedPattern = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

const split = (regex: string, behavior = 'Isolated', invert = false): Json => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior,
  invert,
});

/** A tokenizer.json that makes the library tokenize as the reference does. */
function forLibrary(json: Json): Json {
  return {
    // the library requires every part to be named
    post_processor: null,
    decoder: null,
    ...json,
    added_tokens: json.added_tokens ?? [],
    normalizer: normalizer((json.normalizer ?? null) as Json | null),
    pre_tokenizer: onlyKnown(json, preTokenizer((json.pre_tokenizer ?? null) as Json | null)),
  };
}

/**
 * What of a tokenizer.json the library would do otherwise than the reference, without a word; undefined if there is
 * nothing.
 */
export function silentDifference({ model, pre_tokenizer, added_tokens }: Json): string | undefined {
  const { type = 'BPE', ...how } = (model ?? {}) as Json;
  const prefix = type === 'BPE' && how.continuing_subword_prefix;
  if (prefix) return `a BPE model with the continuing_subword_prefix ${JSON.stringify(prefix)}`;
  if (type === 'Unigram' && how.byte_fallback === true) return 'a Unigram model with byte_fallback';
  if (type === 'BPE' && how.fuse_unk === true && how.byte_fallback !== true && pre_tokenizer) {
    return 'a BPE model with fuse_unk, a pre-tokenizer and no byte_fallback';
  }
  const word = ((added_tokens ?? []) as Json[]).find((token) => token?.single_word === true);
  return word && `the added token ${JSON.stringify(word.content)} with single_word`;
}

/** Unicode's blanks: JavaScript's also have U+FEFF and lack U+0085. */
const BLANK = '\\p{White_Space}';
const BLANKS_AT_END = new RegExp(`${BLANK}+$`, 'u');
const BLANKS_AT_START = new RegExp(`^${BLANK}+`, 'u');
/** What Rust's `\\w` is. */
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d';

function normalizer(config: Json | null): Json | null {
  if (config?.type === 'Sequence') return { ...config, normalizers: (config.normalizers as Json[]).map(normalizer) };
  if (config?.type !== 'Strip') return config;
  const removed = (Regex: string): Json => ({ type: 'Replace', pattern: { Regex }, content: '' });
  const ends = [
    ...(config.strip_left === false ? [] : [removed(`\\A${BLANK}+`)]),
    ...(config.strip_right === false ? [] : [removed(`${BLANK}+\\z`)]),
  ];
  return { type: 'Sequence', normalizers: ends };
}

/** A BPE model without an unknown token joins what is beside characters that it does not know: they are taken out. */
function onlyKnown({ model, pre_tokenizer }: Json, config: Json | null): Json | null {
  const { type, unk_token: unknown, byte_fallback: bytes, end_of_word_suffix: suffix, vocab } = (model ?? {}) as Json;
  const spellsBytes = JSON.stringify(pre_tokenizer ?? null).includes('"ByteLevel"');
  if ((type ?? 'BPE') !== 'BPE' || typeof unknown === 'string' || bytes || suffix || spellsBytes) return config;
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab)) return config;
  const known = Object.keys(vocab).filter((token) => [...token].length === 1);
  const codes = known.map((character) => `\\u{${character.codePointAt(0)!.toString(16)}}`).join('');
  const removed: Json = { type: 'Replace', pattern: { Regex: `[^${codes}]` }, content: '' };
  return { type: 'Sequence', pretokenizers: [...(config ? [config] : []), removed] };
}

function preTokenizer(config: Json | null): Json | null {
  switch (config?.type) {
    case 'Sequence':
      return { ...config, pretokenizers: (config.pretokenizers as Json[]).map(preTokenizer) };
    case 'ByteLevel':
      // its \s is JavaScript's, which has U+FEFF and lacks U+0085; a Split's is Unicode's
      if (config.use_regex === false) return config;
      return {
        type: 'Sequence',
        pretokenizers: [
          ...(config.add_prefix_space ? [{ type: 'Replace', pattern: { Regex: '\\A[^ ]' }, content: ' $&' }] : []),
          split(GPT2_WORDS),
          { ...config, use_regex: false, add_prefix_space: false },
        ],
      };
    case 'Digits': // the library handles only 0 to 9
      return split(config.individual_digits ? '\\p{N}' : '\\p{N}+');
    case 'Whitespace': // the library handles only ASCII words
      return split(`[${WORD}]+|[^${WORD}${BLANK}]+`, 'Removed', true);
    case 'WhitespaceSplit':
      return split(`${BLANK}+`, 'Removed');
    case 'Punctuation': // the library knows one behavior, and takes neighbors together
      return splitByBehavior({ ...split(PUNCTUATION), behavior: config.behavior ?? 'Isolated' });
    case 'CharDelimiterSplit':
      return split(escapedPattern(String(config.delimiter)), 'Removed');
    case 'Split':
      return splitByBehavior(config);
    default:
      return config;
  }
}

/** The library isolates or removes matches. To join a match to its neighbor, the pattern includes the neighbor. */
function splitByBehavior(config: Json): Json {
  const pattern = config.pattern as { Regex?: string; String?: string };
  const match = pattern.Regex ?? (pattern.String === undefined ? undefined : escapedPattern(pattern.String));
  if (match === undefined) return config;
  const rest = `(?:(?!${match})[\\s\\S])`;
  const withPrevious = `${rest}*(?:${match})|${rest}+`;
  const withNext = `(?:${match})${rest}*|${rest}+`;
  switch (String(config.behavior).toLowerCase().replaceAll('_', '')) {
    case 'mergedwithprevious': // inverted, the text between two matches joins the one before it
      return split(config.invert ? withNext : withPrevious);
    case 'mergedwithnext':
      return split(config.invert ? withPrevious : withNext);
    case 'contiguous':
      return split(`(?:${match})+|${rest}+`);
    case 'isolated':
      return { ...config, invert: false }; // both parts stay; inverted, the library drops one
    case 'removed': // the library would keep a match if it is a string
      return split(match, 'Removed', config.invert === true);
    default:
      return config;
  }
}
