/** Parquet, one row group in memory at a time. */

import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { messageOf } from '../error.ts';
import { isSystemError } from '../files.ts';
import { openFile as open } from '../node.ts';
import { DamagedFile, textOfBytes } from './bytes.ts';
import { checkGroup } from './parquet-pages.ts';
import type { Found, Row } from './row.ts';

const CUT = 'the file ends before its columns do';

/** Rows, with their numbers as lines. Nulls are left out; integers beyond 2⁵³ become text, dates ISO 8601. */
export async function* readParquet(path: string): AsyncGenerator<Found> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    if (size === 0) throw new DamagedFile('is not valid Parquet: the file is empty');
    const read = async (start: number, end: number): Promise<ArrayBuffer> => {
      // no column is without bytes
      if (!(start >= 0 && end > start && end <= size)) throw new DamagedFile(CUT);
      const { bytesRead, buffer } = await handle.read(new Uint8Array(end - start), 0, end - start, start);
      if (bytesRead < end - start) throw new DamagedFile(CUT);
      return buffer.buffer;
    };
    const parse = <T>(work: (file: AsyncBuffer) => Promise<T>) => parseRanges(size, read, work);
    const metadata = await parse((file) => parquetMetadataAsync(file));
    let line = 1;
    for (const group of metadata.row_groups) {
      await checkGroup(metadata, group, read);
      const rows = Number(group.num_rows);
      const values = await parse((file) =>
        parquetReadObjects({
          file,
          metadata,
          compressors,
          utf8: false,
          parsers: {
            stringFromBytes: (bytes) => new Text(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength),
          },
          rowStart: line - 1,
          rowEnd: line - 1 + rows,
        }),
      );
      for (const value of values) yield { line: line++, value: plain(value) as Row };
    }
  } catch (error) {
    if (isSystemError(error) || error instanceof DamagedFile) throw error;
    throw new DamagedFile(`is not valid Parquet: ${messageOf(error)}`, { cause: error });
  } finally {
    await handle.close();
  }
}

/**
 * Runs the parser on ranges of bytes. It reads ahead and may throw before it awaits them, and a rejection that nobody
 * awaits would end the process: so a range that cannot be read stays pending, as do all of them once the parser failed.
 */
function parseRanges<T>(
  size: number,
  read: (start: number, end: number) => Promise<ArrayBuffer>,
  work: (file: AsyncBuffer) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let failed = false;
    const fail = (error: unknown) => {
      failed = true;
      reject(error);
    };
    const slice = (start: number, end = size) =>
      new Promise<ArrayBuffer>((take) => {
        read(start, end).then((bytes) => failed || take(bytes), fail);
      });
    work({ byteLength: size, slice }).then(resolve, fail);
  });
}

/** Bytes that may be text. As the key of a map they become the text. */
class Text extends Uint8Array {
  override toString(): string {
    return textOfBytes(this) ?? super.toString();
  }
}

/**
 * Converts values to plain data. Bytes that are not text stay bytes: the row's check reports them where text belongs.
 */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return textOfBytes(value) ?? value;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'no date' : value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain);
  if (typeof value !== 'object' || value === null) return value;
  const present = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined);
  return Object.fromEntries(present.map(([name, inner]) => [name, plain(inner)]));
}
