/** Writes datasets to files atomically. */

import { HeedError } from '../error.ts';
import { stringifyExact } from '../exact-number.ts';
import { replaceFile, writeAll } from '../files.ts';
import { closeSync, gzipSync, openSync } from '../node.ts';
import { fileType } from './file.ts';
import { inTables, type TableRows } from './tables.ts';

/**
 * Writes rows to a file of the type that its extension names: .jsonl, .json, .csv, .tsv (each also with .gz), .parquet.
 * The file at `path` is replaced once all rows are written. Tables have the columns of their first thousand rows.
 * Returns the number of rows. @throws HeedError for another extension, if the system refuses, or for a row that does
 * not fit the table.
 */
export async function writeDataset(path: string, rows: TableRows): Promise<number> {
  const { type, gzip } = fileType(path);
  if (type === undefined || (type === 'parquet' && gzip)) {
    throw new HeedError(`"${path}" has no known extension: expected .jsonl, .json, .csv, .tsv or .parquet`, {
      hint: 'All but .parquet may end in .gz.',
    });
  }
  let written = 0;
  const counted = (async function* () {
    for await (const row of rows) {
      written++;
      yield row;
    }
  })();
  await replaceFile(path, async (temporary) => {
    if (type === 'parquet') await (await import('./write-parquet.ts')).writeParquet(temporary, counted);
    else await writeText(temporary, texts[type](counted), gzip);
  });
  return written;
}

const texts = {
  jsonl: async function* (rows: TableRows) {
    for await (const row of rows) yield `${json(row)}\n`;
  },
  json: async function* (rows: TableRows) {
    let before = '[\n';
    for await (const row of rows) {
      yield `${before}${json(row)}`;
      before = ',\n';
    }
    yield before === '[\n' ? '[]\n' : '\n]\n';
  },
  csv: (rows: TableRows) => delimited(rows, ','),
  tsv: (rows: TableRows) => delimited(rows, '\t'),
};

const json = (value: unknown) =>
  stringifyExact(value, (inner) => (inner instanceof Uint8Array ? Buffer.from(inner).toString('base64') : inner));

const PART = 2 ** 20;

async function writeText(path: string, lines: AsyncIterable<string>, gzip: boolean): Promise<void> {
  const file = openSync(path, 'wx');
  try {
    // gzip files may be concatenated: one part at a time needs no second stream
    const put = (text: string) => writeAll(file, gzip ? gzipSync(text) : Buffer.from(text));
    let text = '';
    for await (const line of lines) {
      text += line;
      if (text.length < PART) continue;
      put(text);
      text = '';
    }
    if (text !== '' || gzip) put(text);
  } finally {
    closeSync(file);
  }
}

async function* delimited(rows: TableRows, delimiter: string): AsyncGenerator<string> {
  const line = (cells: string[]) => `${cells.join(delimiter)}\n`;
  const special = new RegExp(`^$|["\\r\\n${delimiter}]`);
  const cell = (value: unknown) => {
    if (value === undefined || value === null) return '';
    const text = typeof value === 'string' ? value : json(value);
    return special.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  for await (const { columns, rows: some, isFirst } of inTables(rows)) {
    if (isFirst) yield line(columns.map(cell));
    for (const row of some) yield line(columns.map((name) => cell(row[name])));
  }
}
