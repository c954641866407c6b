/**
 * CSV (RFC 4180) and TSV with a header. A field that is a list, such as messages, is written as JSON. A quote inside a field that
 * does not begin with one is text. A quoted field may hold newlines.
 */
import { type Chunks, DamagedFile, linesOf, textOf } from './bytes.ts';
import { type Found, isRecord, LONGEST_ROW, TOO_LONG } from './row.ts';

/** Every row after the header, blank lines left out. Throws DamagedFile for a header that names a column twice. */
export async function* readCsv(chunks: Chunks, delimiter: ',' | '\t' = ','): AsyncGenerator<Found> {
  let header: string[] | undefined;
  for await (const { line, fields, reason } of recordsOf(chunks, delimiter)) {
    if (header === undefined) {
      const twice = fields.find((name, i) => fields.indexOf(name) !== i);
      if (reason) throw new DamagedFile(`the header ${reason}`);
      if (twice !== undefined) throw new DamagedFile(`the header names the column "${twice}" twice`);
      header = fields;
    } else if (reason) {
      yield { line, field: header[fields.length] ?? '', reason };
    } else if (fields.length !== header.length) {
      yield { line, field: '', reason: `has ${fields.length} fields, where the header has ${header.length}` };
    } else {
      const names = header;
      yield { line, value: Object.fromEntries(names.map((name, i) => [name, decodeCell(names, i, fields[i])])) };
    }
  }
}

interface CsvRecord {
  line: number;
  /** As far as they could be read. */
  fields: string[];
  reason?: string;
}

async function* recordsOf(chunks: Chunks, delimiter: string): AsyncGenerator<CsvRecord> {
  let record: CsvRecord | undefined;
  let open: string | undefined; // what a quoted field holds that goes on in the next line
  for await (const { line, bytes } of linesOf(chunks)) {
    if (record === undefined && isBlank(bytes)) continue;
    record ??= { line, fields: [] };
    const text = textOf(bytes);
    if (text === undefined) {
      record.reason = 'is not UTF-8';
      open = undefined;
    } else {
      open = readFields(text, delimiter, record, open);
    }
    if (open === undefined) {
      yield record;
      record = undefined;
    } else if (open.length > LONGEST_ROW) {
      throw new DamagedFile(TOO_LONG);
    }
  }
  if (record) yield { ...record, reason: 'has a quote that is never closed; nothing after it was read' };
}

const isBlank = (bytes: Uint8Array) => bytes.length === 0 || (bytes.length === 1 && bytes[0] === 0x0d);

/** Adds the fields of a line to a record; gives what its last field holds so far if that goes on in the next line. */
function readFields(line: string, delimiter: string, record: CsvRecord, open?: string): string | undefined {
  const end = line.endsWith('\r') ? line.length - 1 : line.length;
  for (let at = 0, goesOn = open !== undefined; ; goesOn = false) {
    if (!goesOn && line[at] !== '"') {
      const next = line.indexOf(delimiter, at);
      record.fields.push(line.slice(at, next < 0 ? end : next));
      if (next < 0) return undefined;
      at = next + 1;
      continue;
    }
    let field = goesOn ? open! : '';
    if (!goesOn) at++;
    for (;;) {
      const quote = line.indexOf('"', at);
      if (quote < 0) return `${field}${line.slice(at)}\n`;
      field += line.slice(at, quote);
      at = quote + 1;
      if (line[at] !== '"') break;
      field += '"';
      at++;
    }
    if (at !== end && line[at] !== delimiter) {
      record.reason = `has "${line.slice(at, at + 10)}" after a closing quote: a quote inside a field is written twice`;
      return undefined;
    }
    record.fields.push(field);
    if (at === end) return undefined;
    at++;
  }
}

const LISTS = new Set(['messages', 'conversations', 'completions', 'labels', 'tools']);
const TEXT_OR_MESSAGES = new Set(['prompt', 'completion', 'chosen', 'rejected']);

/** What a cell stands for by its column: JSON where the field may be a list, true or false of an answer's label, else text. */
function decodeCell(columns: readonly string[], at: number, text: string): unknown {
  const column = columns[at];
  if (column === 'label' && columns.includes('completion') && /^(true|false|0|1)$/i.test(text)) {
    return /^(true|1)$/i.test(text);
  }
  if (!text.startsWith('[') || !(LISTS.has(column) || TEXT_OR_MESSAGES.has(column))) return text;
  try {
    const value: unknown[] = JSON.parse(text);
    return LISTS.has(column) || value.every((part) => isRecord(part) && 'role' in part) ? value : text;
  } catch {
    return text;
  }
}
