/** Rows as tables, for files that list their columns once. */
import { HeedError } from '../error.ts';
import type { Row } from './row.ts';

export type TableRows = AsyncIterable<Row> | Iterable<Row>;

const TABLE = 1000;

/** Rows in thousands, with the columns of the first thousand. @throws HeedError for a row with other columns. */
export async function* inTables(rows: TableRows): AsyncGenerator<{ columns: string[]; rows: Row[]; isFirst: boolean }> {
  let columns: Set<string> | undefined;
  let some: Row[] = [];
  let before = 0;
  const table = () => {
    const isFirst = columns === undefined;
    columns ??= new Set(some.flatMap((row) => Object.keys(row)));
    for (const [i, row] of some.entries()) {
      const other = Object.keys(row).find((name) => !columns!.has(name));
      if (other === undefined) continue;
      throw new HeedError(`row ${before + i + 1} has a column "${other}", which the first ${TABLE} rows lack`, {
        hint: 'Write .jsonl, whose rows may differ.',
      });
    }
    before += some.length;
    const full = { columns: [...columns], rows: some, isFirst };
    some = [];
    return full;
  };
  for await (const row of rows) {
    some.push(row);
    if (some.length === TABLE) yield table();
  }
  if (some.length > 0) yield table();
}
