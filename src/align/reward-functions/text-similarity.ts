/**
 * Similarity of a text to a reference text, from 0 to 1. Each measure takes the text first.
 *
 * Departures from the usual packages: tokens are words and punctuation marks of any script. METEOR matches equal words
 * only, neither stems nor synonyms.
 */
import { HeedError } from '../../error.ts';
import { grouped } from '../../grouped.ts';

/** The longest n-grams that BLEU and GLEU count. */
const LONGEST_GRAM = 4;
/** The most cells of a table of common subsequences: some tenths of a second. */
const MOST_CELLS = 1e8;

/**
 * Normalized indel similarity of the characters: twice the length of the longest common subsequence, divided by the sum
 * of both lengths. Equal to `fuzz.ratio` of RapidFuzz, divided by 100.
 *
 * @throws HeedError when the texts are too long to compare.
 */
export function fuzzyMatch(text: string, reference: string): number {
  const [a, b] = [[...text], [...reference]];
  return a.length + b.length === 0 ? 1 : (2 * commonSubsequence(a, b)) / (a.length + b.length);
}

/**
 * BLEU of one sentence with n-grams up to 4 (Papineni et al. 2002). Equal to sacreBLEU's `sentence_score`, divided by
 * 100: n-grams without a match are smoothed exponentially, and a short text has as many orders as it has tokens.
 */
export function bleu(text: string, reference: string): number {
  const [tokens, expected] = [tokensOf(text), tokensOf(reference)];
  const orders = Math.min(LONGEST_GRAM, tokens.length);
  if (orders === 0) return expected.length === 0 ? 1 : 0;
  let log = 0;
  let smoothing = 1;
  for (let n = 1; n <= orders; n++) {
    const total = tokens.length - n + 1;
    const matches = overlap(grams(tokens, n), grams(expected, n));
    if (matches === 0 && n === 1) return 0;
    if (matches === 0) smoothing *= 2;
    log += Math.log(matches === 0 ? 1 / (smoothing * total) : matches / total) / orders;
  }
  return Math.exp(log + Math.min(0, 1 - expected.length / tokens.length));
}

/** Google's BLEU of one sentence (Wu et al. 2016, §4.3): the smaller of precision and recall of all n-grams up to 4. */
export function gleu(text: string, reference: string): number {
  const [tokens, expected] = [tokensOf(text), tokensOf(reference)];
  let [matches, most] = [0, 0];
  for (let n = 1; n <= LONGEST_GRAM; n++) {
    matches += overlap(grams(tokens, n), grams(expected, n));
    most += Math.max(tokens.length - n + 1, expected.length - n + 1, 0);
  }
  return most === 0 ? 1 : matches / most;
}

/**
 * METEOR with exact matches (Banerjee and Lavie 2005), with the parameters of NLTK: α = 0.9, β = 3, γ = 0.5. Words are
 * aligned from the end, as NLTK aligns them.
 */
export function meteor(text: string, reference: string): number {
  const [tokens, expected] = [tokensOf(text.toLowerCase()), tokensOf(reference.toLowerCase())];
  if (tokens.length + expected.length === 0) return 1;
  const places = grouped([...expected.keys()], (at) => expected[at]);
  const aligned: [own: number, expected: number][] = [];
  for (let i = tokens.length - 1; i >= 0; i--) {
    const at = places.get(tokens[i])?.pop();
    if (at !== undefined) aligned.unshift([i, at]);
  }
  const matches = aligned.length;
  if (matches === 0) return 0;
  const chunks = aligned.filter(([i, at], k) => k === 0 || i !== aligned[k - 1][0] + 1 || at !== aligned[k - 1][1] + 1);
  const [precision, recall] = [matches / tokens.length, matches / expected.length];
  const mean = (precision * recall) / (0.9 * precision + 0.1 * recall);
  return mean * (1 - 0.5 * (chunks.length / matches) ** 3);
}

/** ROUGE-N (Lin 2004): F1 of the n-grams of lowercase words. Equal to the package `rouge_score` without stemming. */
export function rouge(n: number, text: string, reference: string): number {
  const [words, expected] = [wordsOf(text), wordsOf(reference)];
  const [ours, theirs] = [Math.max(0, words.length - n + 1), Math.max(0, expected.length - n + 1)];
  return f1(overlap(grams(words, n), grams(expected, n)), ours, theirs);
}

/**
 * ROUGE-L (Lin 2004): F1 of the longest common subsequence of lowercase words.
 *
 * @throws HeedError when the texts are too long to compare.
 */
export function rougeL(text: string, reference: string): number {
  const [words, expected] = [wordsOf(text), wordsOf(reference)];
  return f1(commonSubsequence(words, expected), words.length, expected.length);
}

/** The measures by the names that OpenAI's graders have for them. */
export const textSimilarities: Readonly<Record<string, (text: string, reference: string) => number>> = {
  fuzzy_match: fuzzyMatch,
  bleu,
  gleu,
  meteor,
  ...Object.fromEntries(
    [1, 2, 3, 4, 5].map((n) => [`rouge_${n}`, (text: string, reference: string) => rouge(n, text, reference)]),
  ),
  rouge_l: rougeL,
};

const tokensOf = (text: string): string[] => text.match(/[\p{L}\p{M}\p{N}_]+|[^\s\p{L}\p{M}\p{N}_]/gu) ?? [];
const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];

/** How often each n-gram occurs. */
function grams(tokens: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= tokens.length; i++) {
    const gram = tokens.slice(i, i + n).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

/** The number of n-grams that two texts share. */
function overlap(found: ReadonlyMap<string, number>, expected: ReadonlyMap<string, number>): number {
  let shared = 0;
  for (const [gram, count] of found) shared += Math.min(count, expected.get(gram) ?? 0);
  return shared;
}

/** F1 of a number of matches in two texts; 0 without a match. */
const f1 = (matches: number, found: number, expected: number): number =>
  matches === 0 ? 0 : (2 * matches) / (found + expected);

/** The length of the longest common subsequence. */
function commonSubsequence(a: readonly string[], b: readonly string[]): number {
  if (a.length * b.length > MOST_CELLS) {
    throw new HeedError(`Texts of ${a.length} and ${b.length} parts are too long to compare.`, {
      hint: 'Compare shorter texts, or use a measure that counts n-grams, such as rouge_1.',
    });
  }
  let above = new Uint32Array(b.length + 1);
  let row = new Uint32Array(b.length + 1);
  for (const part of a) {
    for (let j = 0; j < b.length; j++) row[j + 1] = part === b[j] ? above[j] + 1 : Math.max(above[j + 1], row[j]);
    [above, row] = [row, above];
  }
  return above[b.length];
}
