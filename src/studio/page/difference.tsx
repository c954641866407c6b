/** What differs between two texts, word by word. */
import { type ChangeObject, diffLines, diffWordsWithSpace } from 'diff';
import { useMemo } from 'preact/hooks';

/** Words that may differ before texts are compared line by line: two texts with nothing in common take long. */
const MOST_WORDS = 2000;

type Parts = readonly ChangeObject<string>[];

/** The parts of both texts in order: common, removed from the first, or added by the second. */
export function differenceOf(one: string, other: string): Parts {
  return (
    diffWordsWithSpace(one, other, { maxEditLength: MOST_WORDS }) ??
    diffLines(one, other, { maxEditLength: MOST_WORDS }) ?? [
      { value: one, removed: true, added: false, count: 1 },
      { value: other, removed: false, added: true, count: 1 },
    ]
  );
}

/** The second text, with what was removed from the first one and what was added. */
export function Difference({ from, to }: { from: string; to: string }) {
  const parts = useMemo(() => differenceOf(from, to), [from, to]);
  return (
    <p class="text difference" dir="auto">
      {parts.map(({ value, added, removed }) => {
        if (added) return <ins>{value}</ins>;
        return removed ? <del>{value}</del> : value;
      })}
    </p>
  );
}

/** One of two texts, with what the other one does not have marked. */
export function OwnWords({ text, other, side }: { text: string; other: string; side: 'a' | 'b' }) {
  const parts = useMemo(() => differenceOf(other, text), [text, other]);
  return (
    <p class="text difference" dir="auto">
      {parts
        .filter(({ removed }) => !removed)
        .map(({ value, added }) => (added ? <mark class={`only-${side}`}>{value}</mark> : value))}
    </p>
  );
}
