/**
 * SentencePiece's normalization rules as a tokenizer.json has them (`precompiled_charsmap`): a trie of what is replaced,
 * as a double array (Darts, Yata 2007), and the texts that replace it. Follows the crate spm_precompiled, to the letter.
 */

const LONGEST = 6; // bytes: longer clusters are read character by character

/** The normalizer of rules in base64. Throws for what is no such rules. */
export function precompiledNormalizer(charsmap: string): (text: string) => string {
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
