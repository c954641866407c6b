/** The bytes that each token writes, and a tree of them for walking all tokens at once. */
import { HeedError } from '../error.ts';
import { BYTE_OF_CHARACTER } from './tokenizer/library.ts';
import type { Tokenizer } from './tokenizer.ts';

const HEX = /^<0x([0-9A-F]{2})>$/;

/** Whether the bytes of a tokenizer's tokens are known: it is byte-level BPE, or of SentencePiece's kind. */
export const knowsBytes = (tokenizer: Tokenizer): boolean =>
  /"(ByteLevel|ByteFallback|Metaspace)"/.test(decoderOf(tokenizer));

const decoderOf = ({ files }: Tokenizer): string =>
  JSON.stringify((JSON.parse(files['tokenizer.json']) as { decoder?: unknown }).decoder ?? null);

/**
 * A function from a token's id to its bytes in the middle of a text; undefined for special tokens and ids outside the
 * vocabulary.
 *
 * @throws HeedError if the tokenizer is neither byte-level BPE nor of SentencePiece's kind.
 */
export function tokenBytes(tokenizer: Tokenizer): (id: number) => Uint8Array | undefined {
  const isByteLevel = decoderOf(tokenizer).includes('"ByteLevel"');
  if (!knowsBytes(tokenizer)) {
    throw new HeedError('The bytes of this tokenizer’s tokens are not known.', {
      hint: 'Formats can be enforced for byte-level BPE and SentencePiece tokenizers only: ask for the format in the prompt.',
    });
  }
  const special = new Set(tokenizer.specialTokens.values());
  const encoder = new TextEncoder();
  return (id) => {
    const token = special.has(id) ? undefined : tokenizer.tokenOf(id);
    if (token === undefined) return undefined;
    const hex = HEX.exec(token);
    if (hex && !isByteLevel) return Uint8Array.of(Number.parseInt(hex[1], 16));
    if (!isByteLevel) return encoder.encode(token.replaceAll('▁', ' '));
    const bytes = Array.from(token, (character) => BYTE_OF_CHARACTER.get(character));
    // an added token is spelled as it is
    return bytes.includes(undefined) ? encoder.encode(token) : Uint8Array.from(bytes as number[]);
  };
}

/** A node of a tree of tokens by their bytes. */
export interface TokenNode {
  /** What follows, by the next byte. */
  readonly next: Map<number, TokenNode>;
  /** The tokens that end here. */
  readonly ids: number[];
}

/** The tree of a vocabulary's tokens, or of some of them. */
export function tokenTree(tokenizer: Tokenizer, includes: (id: number) => boolean = () => true): TokenNode {
  const bytesOf = tokenBytes(tokenizer);
  const root: TokenNode = { next: new Map(), ids: [] };
  for (let id = 0; id < tokenizer.vocabularySize; id++) {
    const bytes = includes(id) ? bytesOf(id) : undefined;
    if (!bytes || bytes.length === 0) continue;
    let node = root;
    for (const byte of bytes) {
      let next = node.next.get(byte);
      if (!next) {
        next = { next: new Map(), ids: [] };
        node.next.set(byte, next);
      }
      node = next;
    }
    node.ids.push(id);
  }
  return root;
}
