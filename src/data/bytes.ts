/** Files as chunks of bytes, and chunks as lines. */

import { HeedError } from '../error.ts';
import { createGunzip, createReadStream, isUtf8, pipeline } from '../node.ts';
import { LONGEST_ROW, TOO_LONG } from './row.ts';

export type Chunks = AsyncIterable<Uint8Array>;

const CHUNK = 2 ** 18;
const NEWLINE = 0x0a;

/** The file is readable, but its content is damaged from some point on: the rest is lost. */
export class DamagedFile extends HeedError {}

/** The bytes of a file, decompressed if needed. */
export function byteChunks(path: string, { gzip }: { gzip: boolean }): Chunks {
  const file = createReadStream(path, { highWaterMark: CHUNK });
  if (!gzip) return file;
  // the consumer of the chunks gets the error too
  return pipeline(file, createGunzip({ chunkSize: CHUNK }), () => {});
}

/** Drops the byte order mark that some editors and spreadsheets put before UTF-8. */
export async function* withoutMark(chunks: Chunks): AsyncGenerator<Uint8Array> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of chunks) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < 3) continue;
    yield head.subarray(isMark(head) ? 3 : 0);
    head = undefined;
  }
  if (head !== undefined && head.length > 0) yield head;
}

const isMark = (bytes: Uint8Array) => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;

/** Lines without their newline, numbered from 1. Throws DamagedFile for a line that is longer than any row may be. */
export async function* linesOf(chunks: Chunks): AsyncGenerator<{ line: number; bytes: Uint8Array }> {
  let line = 1;
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let begin = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, begin)) {
      parts.push(chunk.subarray(begin, end));
      yield { line: line++, bytes: joined(parts) };
      parts = [];
      length = 0;
      begin = end + 1;
    }
    if (begin === chunk.length) continue;
    parts.push(chunk.subarray(begin));
    length += chunk.length - begin;
    if (length > LONGEST_ROW) throw new DamagedFile(TOO_LONG);
  }
  if (parts.length > 0) yield { line, bytes: joined(parts) };
}

export const joined = (parts: readonly Uint8Array[]): Uint8Array =>
  parts.length === 1 ? parts[0] : Buffer.concat(parts);

/** Bytes as text; undefined if they are not UTF-8. */
export function textOfBytes(bytes: Uint8Array): string | undefined {
  return isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : undefined;
}
