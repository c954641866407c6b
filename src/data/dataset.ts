/** Datasets read row by row, each row checked. */
import { HeedError } from '../error.ts';
import { adopt } from './convert.ts';
import { type FoundInFile, readFileRows } from './file.ts';
import { detectFormat, type ForeignFormat, type Format, faultOf, formatRead, formats } from './format.ts';
import { dataFiles } from './paths.ts';
import { type BadRow, DEEPEST, type Fault, isDeeper, type Place, type Row } from './row.ts';

export interface DatasetOptions {
  /** The formats the caller can take; any where absent. */
  accept?: readonly Format[];
  /** Whether a bad row ends the reading with a HeedError, or is told of and left out. */
  onBadRow?: 'error' | 'skip';
  tell?: (bad: BadRow) => void;
}

export interface DatasetRow extends Place {
  /** The row in `format`, with its other columns. */
  value: Row;
  format: Format;
  /** The row as it stands in the file, and its format there. */
  original: Row;
  originalFormat: Format | ForeignFormat;
}

/** So many rows say what a file's format is: the first may be the one that lacks a field. */
const TELLING = 100;

/**
 * The sound rows of a dataset (a file, several, a folder or a pattern; see dataFiles), in order, a few at a time in memory. A
 * file has one format, that of most of its first rows, which every row of it has to have. Throws a HeedError with file, line,
 * field and reason at the first bad row unless told to skip them.
 */
export async function* readDataset(
  paths: string | readonly string[],
  { accept = formats, onBadRow = 'error', tell }: DatasetOptions = {},
): AsyncGenerator<DatasetRow> {
  for (const file of dataFiles(paths)) {
    for await (const found of checked(readFileRows(file), accept)) {
      if ('value' in found) {
        yield found;
        continue;
      }
      if (onBadRow === 'error') throw badRowError(found);
      tell?.(found);
    }
  }
}

async function* checked(
  rows: AsyncIterable<FoundInFile>,
  accept: readonly Format[],
): AsyncGenerator<DatasetRow | BadRow> {
  let waiting: FoundInFile[] | undefined = [];
  let format: Format | ForeignFormat | undefined;
  for await (const found of rows) {
    if (waiting === undefined) {
      yield check(found, format, accept);
      continue;
    }
    waiting.push(found);
    if (waiting.length < TELLING) continue;
    format = formatOf(waiting, accept);
    for (const first of waiting) yield check(first, format, accept);
    waiting = undefined;
  }
  if (waiting === undefined) return;
  format = formatOf(waiting, accept);
  for (const first of waiting) yield check(first, format, accept);
}

/** The format of most rows; of equally many, that of the earlier. */
function formatOf(rows: readonly FoundInFile[], accept: readonly Format[]): Format | ForeignFormat | undefined {
  const votes = new Map<Format | ForeignFormat, number>();
  for (const found of rows) {
    const format = 'value' in found ? detectFormat(found.value, accept) : undefined;
    if (format) votes.set(format, (votes.get(format) ?? 0) + 1);
  }
  return [...votes].sort(([, a], [, b]) => b - a)[0]?.[0];
}

function check(
  found: FoundInFile,
  format: Format | ForeignFormat | undefined,
  accept: readonly Format[],
): DatasetRow | BadRow {
  if (!('value' in found)) return found;
  const { value, ...place } = found;
  if (isDeeper(value, DEEPEST)) return { ...place, field: '', reason: `is nested more than ${DEEPEST} deep` };
  const fault = format ? faultOf(value, format) : unknownFormat(value, accept);
  if (fault) return { ...place, ...fault };
  return {
    ...place,
    value: adopt(value, format!),
    format: formatRead(format!),
    original: value,
    originalFormat: format!,
  };
}

function unknownFormat(row: Row, accept: readonly Format[]): Fault {
  const format = detectFormat(row);
  const expected = accept.length < formats.length ? accept.join(' or ') : 'fields such as text, messages or prompt';
  const columns = Object.keys(row).slice(0, 8);
  const got = format ?? (columns.length > 0 ? `the fields ${columns.join(', ')}` : 'no fields');
  return { field: '', reason: `is of no known format: expected ${expected}, got ${got}` };
}

export const tellBadRow = ({ file, line, row, field, reason }: BadRow): string =>
  `"${file}", line ${line}${row === line ? '' : ` (row ${row})`}: ${field ? `"${field}" ` : ''}${reason}`;

function badRowError(bad: BadRow): HeedError {
  return new HeedError(tellBadRow(bad), {
    hint: 'Correct the row, or leave bad rows out with --on-bad-row skip; "heed data check" lists them all.',
  });
}
