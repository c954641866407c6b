/** Files with one JSON object per line (JSON Lines) that stay readable if a write is killed halfway. */

import { HeedError, messageOf } from '../error.ts';
import { fileError, onDisk, writeAll } from '../files.ts';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
} from '../node.ts';

/** A file that rows are appended to; open until `close`. */
export interface RowFile {
  append(line: string): void;
  /** Makes every row durable. Returns the length in bytes. */
  sync(): number;
  /** Cuts the file back to an earlier length. False if the file is already shorter. */
  truncate(bytes: number): boolean;
  close(): void;
}

const NEWLINE = 0x0a;

/** Opens a file to append rows, and drops a half-written last row. */
export function openRows(path: string): RowFile {
  const guarded = <T>(act: () => T): T => onDisk('write', path, act);
  const file = guarded(() => openSync(path, 'a+'));
  let length = guarded(() => fstatSync(file).size);
  const cutTo = (bytes: number) => {
    if (bytes !== length) guarded(() => ftruncateSync(file, bytes));
    length = bytes;
  };
  cutTo(endOfLastRow(file, length));
  return {
    append(line) {
      const bytes = Buffer.from(`${line}\n`);
      try {
        writeAll(file, bytes);
      } catch (error) {
        ftruncateSync(file, length); // a full disk may have cut the row
        throw fileError(error, 'write', path);
      }
      length += bytes.length;
    },
    sync() {
      guarded(() => fsyncSync(file));
      return length;
    },
    truncate(bytes) {
      if (bytes > length) return false;
      cutTo(bytes);
      cutTo(endOfLastRow(file, length));
      return true;
    },
    close: () => guarded(() => closeSync(file)),
  };
}

function endOfLastRow(file: number, length: number): number {
  const part = new Uint8Array(64 * 1024);
  for (let end = length; end > 0; ) {
    const begin = Math.max(0, end - part.length);
    const found = part.subarray(0, readSync(file, part, 0, end - begin, begin)).lastIndexOf(NEWLINE);
    if (found >= 0) return begin + found + 1;
    end = begin;
  }
  return 0;
}

/**
 * Every complete row of a file as an object; none if there is no file. @throws HeedError that names file and line of
 * any other row.
 */
export function* readRows(path: string): Generator<Record<string, unknown>> {
  if (!existsSync(path)) return;
  const bytes = onDisk('read', path, () => readFileSync(path));
  let line = 1;
  for (
    let begin = 0, end = bytes.indexOf(NEWLINE);
    end >= 0;
    begin = end + 1, end = bytes.indexOf(NEWLINE, begin), line++
  ) {
    let row: unknown;
    let why = 'it is not an object';
    try {
      row = JSON.parse(bytes.toString('utf8', begin, end));
    } catch (error) {
      why = messageOf(error);
    }
    if (typeof row !== 'object' || row === null || Array.isArray(row)) {
      throw new HeedError(`"${path}", line ${line} is not a row: ${why}.`, {
        hint: 'Was the file edited by hand? Correct or remove that line.',
      });
    }
    yield row as Record<string, unknown>;
  }
}
