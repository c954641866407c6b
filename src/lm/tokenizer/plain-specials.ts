/**
 * Special tokens that people write in messages: they are text there. `<|im_end|>` in a question must not end the turn.
 * A mark within such a token keeps it from being recognized, through the template and up to the tokenizer.
 */

import { escapedPattern, type Json, openLibrary } from './library.ts';
import { type Aligner, aligner, type Offsets } from './offsets.ts';

/** Within a special token that is text: a noncharacter, which no text should have. */
const MARK = '\ufdd6';
/** Around the number of a special token, where it is one. */
const NAME = '\ufdd7';

const patterns = new WeakMap<ReadonlyMap<string, number>, RegExp>();

/** Matches the special tokens of a tokenizer in texts. */
export function patternOf(special: ReadonlyMap<string, number>): RegExp {
  let pattern = patterns.get(special);
  if (!pattern) {
    const longer = [...special.keys()].filter((token) => [...token].length > 1).sort((a, b) => b.length - a.length);
    pattern = new RegExp(longer.length > 0 ? longer.map(escapedPattern).join('|') : '(?!)', 'gu');
    patterns.set(special, pattern);
  }
  return pattern;
}

/** Whether a value, such as a list of messages, has a special token in a text. */
export function hasSpecial(value: unknown, pattern: RegExp): boolean {
  if (typeof value === 'string') return value.search(pattern) >= 0;
  return (
    typeof value === 'object' && value !== null && Object.values(value).some((inner) => hasSpecial(inner, pattern))
  );
}

/** A text whose special tokens are marked as text. */
export const markPlain = (text: string, pattern: RegExp): string =>
  text.replaceAll(MARK, '\ufffd').replace(pattern, (token) => {
    const [first] = token;
    return first + MARK + token.slice(first.length);
  });

/** Whether a text has marked tokens. */
export const isMarked = (text: string): boolean => text.includes(MARK);

/** Encodes marked texts. */
export type MarkedEncoder = (text: string) => { ids: number[]; offsets: () => Offsets };

/**
 * The encoder of marked texts for a tokenizer.json. Its special tokens have other names there, which nobody writes, so
 * that their own names are text.
 */
export function markedEncoder(json: Json, config: Json, special: ReadonlyMap<string, number>): MarkedEncoder {
  const nameOf = new Map(Array.from(special.keys(), (token, i) => [token, `${NAME}${i}${NAME}`]));
  const renamed = (token: unknown) => nameOf.get(token as string) ?? token;
  const model = json.model as Json;
  const vocab = model.vocab as Record<string, number> | [string, number][];
  const added = ((json.added_tokens ?? []) as Json[]).map((token) => ({ ...token, content: renamed(token.content) }));
  const marked: Json = {
    ...json,
    added_tokens: added,
    post_processor: null,
    model: {
      ...model,
      unk_token: renamed(model.unk_token),
      vocab: Array.isArray(vocab)
        ? vocab.map(([token, score]) => [renamed(token), score])
        : Object.fromEntries(Object.entries(vocab).map(([token, id]) => [renamed(token), id])),
    },
  };
  const unknown = renamed(model.unk_token);
  const library = openLibrary(marked, {
    clean_up_tokenization_spaces: config.clean_up_tokenization_spaces,
    unk_token: unknown,
  });
  const pattern = patternOf(special);
  let align: Aligner | undefined;
  return (text) => {
    const { plain, at } = translated(text, pattern, nameOf);
    const { ids, tokens } = library.encode(plain, { add_special_tokens: false });
    const known = tokens.filter((_, i) => ids[i] !== undefined);
    return {
      ids: ids.filter((id) => id !== undefined),
      offsets() {
        align ??= aligner(marked, new Set(added.map(({ content }) => content as string)));
        const offsets = align(plain, known, unknown as string | undefined);
        return offsets.map(([start, end]) => [at[start], end > start ? at[end - 1] + 1 : at[end]]);
      },
    };
  };
}

/** A marked text without marks, its special tokens by their other names, and for each character its place in the text. */
function translated(text: string, pattern: RegExp, nameOf: ReadonlyMap<string, string>) {
  let plain = '';
  const at: number[] = [];
  const add = (part: string, from: number) => {
    for (let i = 0; i < part.length; i++) {
      if (part[i] === MARK) continue;
      plain += part[i];
      at.push(from + i);
    }
  };
  let done = 0;
  for (const { 0: token, index } of text.matchAll(pattern)) {
    add(text.slice(done, index), done);
    const name = nameOf.get(token)!;
    plain += name;
    for (let i = 0; i < name.length; i++) at.push(index + Math.min(i, token.length - 1));
    at[at.length - 1] = index + token.length - 1;
    done = index + token.length;
  }
  add(text.slice(done), done);
  at.push(text.length);
  return { plain, at };
}
