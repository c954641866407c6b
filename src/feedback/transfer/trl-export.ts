/** Rows as TRL's trainers take them. */
import type { Row } from '../../data/row.ts';
import type { LeftOut } from './left-out.ts';

const COLUMNS = ['prompt', 'chosen', 'rejected', 'completion', 'label'];

/** A row of an export with the columns that TRL knows; undefined if TRL has no such row. */
export function trlRow(row: Row, left: LeftOut): Row | undefined {
  const known = Object.fromEntries(COLUMNS.flatMap((name) => (row[name] === undefined ? [] : [[name, row[name]]])));
  const values = Object.values(known);
  if (values.some((value) => typeof value === 'object' && !Array.isArray(value))) {
    left.add('clips and images, which TRL has no rows for');
    return undefined;
  }
  if (row.reason !== undefined) left.add('reasons');
  if (row.strength !== undefined) left.add('how much better a response is');
  if (row.spans !== undefined || row.chosen_spans !== undefined || row.rejected_spans !== undefined)
    left.add('marked parts of responses');
  return known;
}
