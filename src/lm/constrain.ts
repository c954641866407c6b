/** Makes a model write by a grammar: tokens whose bytes the grammar does not allow are never drawn. */
import { HeedError } from '../error.ts';
import { withinWork } from './json-grammar/rules.ts';
import type { GrammarState } from './json-grammar.ts';
import type { Sampler } from './sampling.ts';
import { type TokenTree, tokenBytes, tokenTree } from './token-bytes.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Makes processors for a tokenizer. */
export type Constrainer = (grammar: GrammarState) => Sampler;

/** A set of tokens: bit id % 32 of word id / 32. */
export type TokenMask = Uint32Array;

/** What a grammar allows of a vocabulary. */
export interface GrammarTokens {
  /** The tokens that may come next, without those that end a text. */
  maskOf(state: GrammarState): TokenMask;
  /** The state after a token. @throws HeedError if the grammar does not allow it. */
  after(state: GrammarState, token: number): GrammarState;
}

/** Most masks that are kept. */
const MASKS = 512;

/**
 * Prepares a tokenizer. Tokens that are plain text are allowed everywhere inside of a string, so there only the others
 * are looked at.
 *
 * @throws HeedError if the bytes of its tokens are not known.
 */
export function createGrammarTokens(tokenizer: Tokenizer): GrammarTokens {
  const bytesOf = tokenBytes(tokenizer);
  const size = tokenizer.vocabularySize;
  const words = Math.ceil(size / 32);
  const lengths = Array.from({ length: size }, (_, id) => plainLength(bytesOf(id)));
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  const all = tokenTree(tokenizer);
  const notPlain = tokenTree(tokenizer, (id) => lengths[id] === 0);
  const plain = new Map<number, TokenMask>();
  const masks = new Map<GrammarState, TokenMask>();

  /** The plain tokens of at most so many characters. */
  const plainMask = (free: number): TokenMask => {
    const most = Math.min(free, longest);
    let mask = plain.get(most);
    if (!mask) {
      mask = new Uint32Array(words);
      for (let id = 0; id < size; id++) if (lengths[id] > 0 && lengths[id] <= most) mask[id >> 5] |= 1 << (id & 31);
      plain.set(most, mask);
    }
    return mask;
  };

  return {
    maskOf(state) {
      let mask = masks.get(state);
      if (mask) return mask;
      mask = state.free === undefined ? new Uint32Array(words) : plainMask(state.free).slice();
      const made = mask;
      withinWork(() => allow(state.free === undefined ? all : notPlain, state, made));
      if (masks.size >= MASKS) masks.delete(masks.keys().next().value!);
      masks.set(state, mask);
      return mask;
    },
    after(state, token) {
      let at: GrammarState | undefined = state;
      for (const byte of bytesOf(token) ?? []) at = at?.next(byte);
      if (!at) throw new HeedError('A token was drawn that the grammar does not allow.');
      return at;
    },
  };
}

/** Prepares a tokenizer: a processor for each completion, by the grammar that it begins with. Throws as above. */
export function createConstrainer(tokenizer: Tokenizer): Constrainer {
  const grammarTokens = createGrammarTokens(tokenizer);
  return (grammar) => {
    let state = grammar;
    let read = 0;
    return (logits, { tokens, generated, ends }) => {
      for (; read < generated; read++) state = grammarTokens.after(state, tokens[tokens.length - generated + read]);
      applyMask(logits, grammarTokens.maskOf(state), state.ends ? ends : []);
    };
  };
}

/** Forbids all tokens that are neither in the mask nor in `ends`. */
export function applyMask(logits: Float32Array, mask: TokenMask, ends: readonly number[]): void {
  const kept = ends.map((id) => logits[id]);
  for (let word = 0; word * 32 < logits.length; word++) {
    const bits = mask[word] ?? 0;
    if (bits === -1 >>> 0) continue;
    const from = word * 32;
    if (bits === 0) logits.fill(Number.NEGATIVE_INFINITY, from, from + 32);
    else {
      const to = Math.min(from + 32, logits.length);
      for (let id = from; id < to; id++) if (((bits >>> (id - from)) & 1) === 0) logits[id] = Number.NEGATIVE_INFINITY;
    }
  }
  ends.forEach((id, i) => {
    logits[id] = kept[i];
  });
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Number of characters of a token that may stand anywhere in a JSON string; 0 of one that may not. */
function plainLength(bytes: Uint8Array | undefined): number {
  if (!bytes || bytes.some((byte) => byte < 0x20 || byte === 0x22 || byte === 0x5c)) return 0;
  try {
    return [...decoder.decode(bytes)].length;
  } catch {
    return 0; // a part of a character
  }
}

/** Adds the tokens that a state allows. */
function allow({ byte, end, depth, first, ids }: TokenTree, begin: GrammarState, mask: TokenMask): void {
  const states: GrammarState[] = [begin]; // before the byte at each depth
  for (let node = 0; node < byte.length; ) {
    const level = depth[node];
    const after = states[level].next(byte[node]);
    if (!after) {
      node = end[node];
      continue;
    }
    for (let i = first[node]; i < first[node + 1]; i++) mask[ids[i] >> 5] |= 1 << (ids[i] & 31);
    states[level + 1] = after;
    node++;
  }
}
