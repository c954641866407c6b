/** What was left out, in words: for commands and for the page, which imports nothing else. */
import type { LeftOutCount } from './left-out.ts';

/** A count in words: `3 of 120 records: responses that are drafts`. */
export const leftOutInWords = ({ what, records, of: total }: LeftOutCount): string =>
  `${records} of ${total} record${total === 1 ? '' : 's'}: ${what}`;
