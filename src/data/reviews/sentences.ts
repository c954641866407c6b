/** Which sentences of a response are good, one by one: what supervision of a process learns from here. */
import type { ReviewPrompt } from './demonstrations.ts';
import { recognizeSentence, sentencesOf } from './recognize.ts';
import { isPlace, itemByWord, polarityByWord } from './words.ts';

/**
 * For each sentence: whether it is well formed, is about the requested place, finds no fault, and does not repeat an
 * earlier sentence.
 */
export function goodSentences({ place }: Pick<ReviewPrompt, 'place'>, words: readonly string[]): boolean[] {
  const seen = new Set<string>();
  return sentencesOf(words).map((sentence) => {
    const text = sentence.join(' ');
    const again = seen.has(text);
    seen.add(text);
    const sound = sentence.every(
      (word) =>
        polarityByWord.get(word) !== 'blame' &&
        (word === place || !isPlace(word)) &&
        [undefined, place].includes(itemByWord.get(word)?.place),
    );
    return sound && !again && recognizeSentence(sentence).accepted;
  });
}
