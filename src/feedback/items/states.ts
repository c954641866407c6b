/** The states of items by which they are listed. */

/** Which items are listed. */
export const itemStates = [
  'all',
  'open',
  'complete',
  'decided',
  'gold',
  'assigned',
  'commented',
  'skipped',
  'disputed',
  'archived',
] as const;
/** A state of items. */
export type ItemState = (typeof itemStates)[number];

/** What a judgment of a pair, or of good and bad, says: items are listed by it. */
export const verdicts = ['first', 'second', 'tie', 'both-bad', 'unknown', 'good', 'bad'] as const;
/** A verdict. */
export type ChoiceVerdict = (typeof verdicts)[number];
