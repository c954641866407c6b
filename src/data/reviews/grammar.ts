/**
 * The sentences of the reviews. Each is a template with a fixed number of words, so checking a sentence means comparing
 * it, slot by slot, with the templates of its length, without a parser.
 */

import type { Polarity, WordClass } from './words.ts';

/** A text's opinion of its place; each tone has its own mixture of polarities. */
export type Tone = 'good' | 'bad' | 'mixed';

/** The polarity in which a text of each tone sums up. */
export const summing: Readonly<Record<Tone, Polarity>> = { good: 'praise', bad: 'blame', mixed: 'neutral' };

/**
 * - `person`: an item that is one person
 * - `be`: was or were, as the item is
 * - `adjective`: fits the item; `another`: of the same polarity, not the same; `contrast`: of another polarity
 * - `summary`: an adjective that may be said of everything, `article` the a or an before it
 */
type Slot =
  | WordClass
  | 'place'
  | 'item'
  | 'person'
  | 'be'
  | 'verb'
  | 'adjective'
  | 'another'
  | 'contrast'
  | 'article'
  | 'summary';

/** A fixed word, or a slot and which of the sentence's two items it is about. */
export type PhrasePart =
  | { readonly slot: 'fixed'; readonly word: string }
  | { readonly slot: Slot; readonly of: 0 | 1 };

type Role = 'opening' | 'body' | 'introduction' | 'followUp' | 'closing';
type Sex = 'man' | 'woman';

export interface SentenceTemplate {
  readonly role: Role;
  readonly parts: readonly PhrasePart[];
  /** For an introduction and its follow-up. */
  readonly sex?: Sex;
  /** For a closing: the tones of texts that may end so. */
  readonly tones?: readonly Tone[];
}

const parse = (text: string): PhrasePart[] =>
  text.split(' ').map((token) => {
    const slot = /^\{([a-z]+)(2?)\}$/.exec(token);
    return slot ? { slot: slot[1] as Slot, of: slot[2] ? 1 : 0 } : { slot: 'fixed', word: token };
  });
const template = (role: Role, text: string, rest: Pick<SentenceTemplate, 'sex' | 'tones'> = {}): SentenceTemplate => ({
  role,
  parts: parse(text),
  ...rest,
});

export const openings: readonly SentenceTemplate[] = [
  'on {day} my {companion} took me to the {place} .',
  'my {companion} and i chose the {place} for {day} .',
  'in {month} we came to the {place} .',
  'for the {ordinal} time i tried the {place} .',
].map((text) => template('opening', text));

export const bodies: readonly SentenceTemplate[] = [
  'the {item} {be} {adverb} {adjective} .',
  'the {item} {be} both {adjective} and {another} .',
  'the {item} {be} {adjective} yet the {item2} {be2} {contrast2} .',
  'i {verb} their {adjective} {item} .',
  'my {companion} also {verb} the {item} .',
  'indeed the {item} {be} {adjective} .',
  'everyone called the {item} {adverb} {adjective} .',
  'that {day} the {item} {be} {adjective} .',
  'we queued {number} minutes for the {adjective} {item} .',
  'we {verb} both the {item} and the {item2} .',
].map((text) => template('body', text));

/** A person is introduced by name; the next sentence may then say he or she. */
export const introductions: Readonly<Record<Sex, SentenceTemplate>> = {
  man: template('introduction', '{man} , our {person} , was {adverb} {adjective} .', { sex: 'man' }),
  woman: template('introduction', '{woman} , our {person} , was {adverb} {adjective} .', { sex: 'woman' }),
};
export const followUps: Readonly<Record<Sex, SentenceTemplate>> = {
  man: template('followUp', 'he showed us the {item} .', { sex: 'man' }),
  woman: template('followUp', 'she showed us the {item} .', { sex: 'woman' }),
};

/** Four closings for each tone. */
export const closings: readonly SentenceTemplate[] = [
  template('closing', 'we cannot wait to return .', { tones: ['good'] }),
  template('closing', 'do not miss the {place} .', { tones: ['good'] }),
  template('closing', 'what {article} {summary} {day} we had .', { tones: ['good'] }),
  template('closing', 'we shall never return .', { tones: ['bad'] }),
  template('closing', 'save your money and avoid the {place} .', { tones: ['bad'] }),
  template('closing', 'we might return in {month} .', { tones: ['mixed'] }),
  template('closing', 'so much for the {place} .', { tones: ['mixed'] }),
  template('closing', 'in short it was {article} {summary} {day} .', { tones: ['bad', 'mixed'] }),
  template('closing', 'all in all {article} {summary} {place} .', { tones: ['good', 'bad', 'mixed'] }),
];

export const templates: readonly SentenceTemplate[] = [
  ...openings,
  ...bodies,
  ...Object.values(introductions),
  ...Object.values(followUps),
  ...closings,
];

/** Decided by the first letter: no word here is an `hour` or a `university`. */
export const articleBefore = (word: string): 'a' | 'an' => (/^[aeiou]/.test(word) ? 'an' : 'a');
