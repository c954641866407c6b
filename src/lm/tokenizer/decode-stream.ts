/**
 * Text from tokens as they arrive. Ids are decoded in a window that begins at the last token with final text, since the
 * text of later tokens depends on what precedes them (a leading space, the bytes of one character).
 */
export function decodeStream(
  decode: (ids: readonly number[]) => string,
  /** Whether decoding joins punctuation to the word before it: then the last word is not final. */
  cleansUp: boolean,
): { push(id: number): string; end(): string } {
  let window: number[] = [];
  let unread = 0; // the first token of the window whose text was not yet returned
  let returned = 0; // characters of the window's text that were returned
  const give = (text: string, end: number) => {
    const piece = text.slice(returned, end);
    returned = Math.max(returned, end);
    return piece;
  };
  return {
    push(id) {
      window.push(id);
      const text = decode(window);
      const end = cleansUp ? text.lastIndexOf(' ') : text.endsWith('\ufffd') ? text.length - 1 : text.length;
      const piece = give(text, Math.max(end, 0));
      if (piece !== '' && end === text.length) {
        window = window.slice(unread);
        unread = window.length;
        returned = decode(window).length;
      }
      return piece;
    },
    end() {
      const text = decode(window);
      const piece = give(text, text.length);
      window = [];
      unread = returned = 0;
      return piece;
    },
  };
}
