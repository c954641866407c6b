/** The states of items by which they are listed. */

/** Which items are listed. */
export const itemStates = ['all', 'open', 'complete', 'decided', 'gold', 'assigned', 'commented', 'archived'] as const;
/** A state of items. */
export type ItemState = (typeof itemStates)[number];
