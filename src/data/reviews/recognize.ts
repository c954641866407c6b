/** Checks whether words follow the grammar, sentence by sentence and as a whole text, and if not, says why. */

import { grouped } from '../../grouped.ts';
import { articleBefore, type PhrasePart, type SentenceTemplate, summing, templates } from './grammar.ts';
import {
  adjectiveOf,
  classes,
  isPlace,
  itemByWord,
  type Polarity,
  polarityByWord,
  type ReviewedItem,
} from './words.ts';

export type SentenceVerdict =
  | { readonly accepted: true; readonly template: SentenceTemplate }
  | { readonly accepted: false; readonly reason: string };

interface TextVerdict {
  readonly sentences: readonly SentenceVerdict[];
  /** Share of sentences accepted; 0 for no words. */
  readonly accepted: number;
  /** Whether the grammar could have written it, with any number of sentences. */
  readonly coherent: boolean;
  /** Why it is not coherent. */
  readonly reasons: readonly string[];
}

/** Splits after each `.`; words after the last are an unfinished sentence. */
export function sentencesOf(words: readonly string[]): string[][] {
  const sentences: string[][] = [];
  let start = 0;
  for (let i = 0; i < words.length; i++) {
    if (words[i] !== '.' && i < words.length - 1) continue;
    sentences.push(words.slice(start, i + 1));
    start = i + 1;
  }
  return sentences;
}

const byLength = grouped(templates, ({ parts }) => parts.length);

/** Whether one sentence, including its `.`, is one of the grammar's; if not, how the nearest template differs. */
export function recognizeSentence(words: readonly string[]): SentenceVerdict {
  const candidates = byLength.get(words.length) ?? [];
  const template = candidates.find((each) => hasFixedWords(each, words) && compare(each, words).length === 0);
  if (template) return { accepted: true, template };
  if (candidates.length === 0) return { accepted: false, reason: `No sentence has ${words.length} words.` };
  const [nearest] = candidates.map((each) => compare(each, words)).sort((a, b) => a.length - b.length);
  const [{ at, expected }] = nearest;
  return { accepted: false, reason: `Word ${at + 1}, '${words[at]}', is not ${expected}.` };
}

const hasFixedWords = ({ parts }: SentenceTemplate, words: readonly string[]): boolean =>
  parts.every((part, i) => part.slot !== 'fixed' || part.word === words[i]);

interface Fault {
  /** Index of the word. */
  at: number;
  expected: string;
}

function compare({ parts, tones }: SentenceTemplate, words: readonly string[]): Fault[] {
  const items: (ReviewedItem | undefined)[] = [];
  let polarity: Polarity | undefined; // number of the first verb or adjective, with which the others agree
  parts.forEach((part, i) => {
    if (part.slot === 'item' || part.slot === 'person') items[part.of] = itemByWord.get(words[i]);
    if (part.slot === 'verb' || part.slot === 'adjective') polarity ??= polarityByWord.get(words[i]);
  });

  // What a slot needs instead of its word; undefined if it fits. If the item is not an item, only that is reported.
  const demand = (part: PhrasePart, i: number): string | undefined => {
    const word = words[i];
    if (part.slot === 'fixed') return word === part.word ? undefined : `'${part.word}'`;
    const item = items[part.of];
    const adjective = adjectiveOf.get(word);
    switch (part.slot) {
      case 'place':
        return isPlace(word) ? undefined : 'a place';
      case 'item':
        if (!item) return 'an item';
        return part.of === 1 && item === items[0] ? 'another item' : undefined;
      case 'person':
        return item?.kind === 'person' && !item.plural ? undefined : 'one person';
      case 'be':
        return !item || word === (item.plural ? 'were' : 'was') ? undefined : `the verb of '${item.word}'`;
      case 'verb':
        if (!polarityByWord.has(word) || adjective) return 'a verb of opinion';
        return polarityByWord.get(word) === polarity ? undefined : `of the polarity ${polarity}`;
      case 'adjective':
      case 'another':
      case 'contrast':
        if (!adjective) return 'an adjective';
        if (item && adjective.kind !== 'any' && adjective.kind !== item.kind) return `an adjective of '${item.word}'`;
        if (part.slot === 'another' && words.indexOf(word) < i) return 'another adjective';
        if ((adjective.polarity === polarity) !== (part.slot === 'contrast')) return undefined;
        return part.slot === 'contrast' ? `of another polarity than ${polarity}` : `of the polarity ${polarity}`;
      case 'article':
        return word === articleBefore(words[i + 1]) ? undefined : `the article of '${words[i + 1]}'`;
      case 'summary':
        if (adjective?.kind !== 'any') return 'an adjective of everything';
        return tones!.some((tone) => summing[tone] === adjective.polarity) ? undefined : 'how this closing sums up';
      default:
        return classes[part.slot].includes(word) ? undefined : `one of the class '${part.slot}'`;
    }
  };

  return parts.flatMap((part, i) => {
    const expected = demand(part, i);
    return expected === undefined ? [] : [{ at: i, expected }];
  });
}

/**
 * Whether a text is coherent: an opening, body sentences and at most one closing, all accepted; one place, and only
 * items that belong to it or to any place; no item twice; `he` and `she` only right after a matching name.
 */
export function recognizeText(words: readonly string[]): TextVerdict {
  const sentences = sentencesOf(words).map(recognizeSentence);
  const accepted = sentences.filter((sentence) => sentence.accepted).length;
  const reasons = [...sentences.flatMap(faultOfSentence), ...faultsOfOrder(sentences), ...faultsOfItems(words)];
  return {
    sentences,
    accepted: accepted / Math.max(sentences.length, 1),
    coherent: reasons.length === 0,
    reasons,
  };
}

const faultOfSentence = (sentence: SentenceVerdict, i: number): string[] =>
  sentence.accepted ? [] : [`Sentence ${i + 1}: ${sentence.reason}`];

function faultsOfOrder(sentences: readonly SentenceVerdict[]): string[] {
  const reasons: string[] = [];
  const found = sentences.map((sentence) => (sentence.accepted ? sentence.template : undefined));
  if (!found.some((template) => template?.role !== 'opening' && template?.role !== 'closing')) {
    reasons.push('There is no body.');
  }
  for (const [i, template] of found.entries()) {
    if (!template) continue;
    const before = found[i - 1];
    if ((template.role === 'opening') !== (i === 0)) {
      reasons.push(i === 0 ? 'It does not start with an opening.' : `Sentence ${i + 1} is another opening.`);
    }
    if (template.role === 'closing' && i < found.length - 1) {
      reasons.push(`Sentence ${i + 1} is a closing before the end.`);
    }
    if (template.role === 'followUp' && !(before?.role === 'introduction' && before.sex === template.sex)) {
      reasons.push(`Sentence ${i + 1} speaks of a ${template.sex} whom the one before does not name.`);
    }
  }
  return reasons;
}

function faultsOfItems(words: readonly string[]): string[] {
  const reasons: string[] = [];
  const place = words.find(isPlace);
  const named = new Set<string>();
  for (const word of words) {
    const item = itemByWord.get(word);
    if (isPlace(word) && word !== place) reasons.push(`It is of the ${place} and names the ${word}.`);
    if (!item) continue;
    if (item.place && item.place !== place) reasons.push(`'${word}' belongs to the ${item.place}.`);
    if (named.has(word)) reasons.push(`'${word}' comes twice.`);
    named.add(word);
  }
  return reasons;
}
