/**
 * How several judgments of an item are merged: not at all, by majority, or by consensus (Dawid and Skene 1979). A
 * reviewer's decision replaces them, unless they are not merged.
 */
export const merges = ['each', 'majority', 'consensus'] as const;
/** One of the ways to merge judgments. */
export type Merge = (typeof merges)[number];
