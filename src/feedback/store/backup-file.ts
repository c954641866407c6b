/**
 * The file of a backup: JSON lines, compressed by gzip and, if asked for, encrypted. The first line is a header, then
 * each row of each table is a line, and the last line has the SHA-256 of all lines before it.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline as connected, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { z } from 'zod';
import { DamagedFile, linesOf } from '../../data/bytes.ts';
import { HeedError, messageOf } from '../../error.ts';
import { fileError, isSystemError, replaceFile } from '../../files.ts';
import { decryptWith, encryptWith, HEAD_BYTES, isEncrypted } from './encryption.ts';

/** Version of the format that this file writes and reads. */
const VERSION = 1;

const headerSchema = z.object({
  format: z.literal('heed-backup'),
  version: z.literal(VERSION),
  schema: z.string(),
  created: z.string(),
  tables: z.record(z.string(), z.number().int().nonnegative()),
});
/** The first line of a backup. */
export interface BackupHeader {
  /** Always "heed-backup". */
  format: 'heed-backup';
  /** Version of the file's format. */
  version: 1;
  /** The last migration of the store. */
  schema: string;
  /** When it was made, in ISO 8601. */
  created: string;
  /** Number of rows by table. */
  tables: Record<string, number>;
}

const rowSchema = z.object({
  table: z.string(),
  row: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
});
const endSchema = z.object({ sha256: z.string() });

/** A row of a table: its columns by name. */
export type BackupRow = z.output<typeof rowSchema>;

/** A line of a backup. */
export type BackupLine =
  | { kind: 'header'; header: BackupHeader }
  | ({ kind: 'row' /** Its line in the file, from 1. */; line: number } & BackupRow)
  | { kind: 'end' /** SHA-256 of all lines before. */; sha256: string };

/** Rows are joined to parts of about this many characters. */
const PART = 2 ** 16;

const MORE = 'Use another copy of this backup.';

/**
 * Writes a backup to a file, which appears when it is whole, and which only its owner may read. Returns the SHA-256 of
 * its lines. Encrypts it if there is a passphrase.
 *
 * @throws HeedError that names the path if the system refuses. Errors of `rows` pass through.
 */
export async function writeBackupFile(
  path: string,
  header: BackupHeader,
  rows: AsyncIterable<BackupRow>,
  passphrase?: string,
): Promise<string> {
  const hash = createHash('sha256');
  let sha256 = '';
  async function* parts() {
    let part = `${JSON.stringify(header)}\n`;
    const taken = () => {
      const bytes = Buffer.from(part);
      hash.update(bytes);
      part = '';
      return bytes;
    };
    for await (const row of rows) {
      part += `${JSON.stringify(row)}\n`;
      if (part.length >= PART) yield taken();
    }
    yield taken();
    sha256 = hash.digest('hex');
    yield Buffer.from(`${JSON.stringify({ sha256 })}\n`);
  }
  await replaceFile(path, async (temporary) => {
    const source = Readable.from(parts(), { objectMode: false });
    const target = createWriteStream(temporary, { flags: 'wx', mode: 0o600 });
    if (passphrase === undefined) await pipeline(source, createGzip(), target);
    else await pipeline(source, createGzip(), encryptWith(passphrase), target);
    const file = await open(temporary, 'r+'); // its bytes may take long to reach the disk
    await file.sync().finally(() => file.close());
  });
  return sha256;
}

/** A backup whose key fits. */
export interface BackupFile {
  /** Where it is. */
  path: string;
  /** Whether it is encrypted. */
  encrypted: boolean;
  /**
   * Reads it from the beginning to the end. What it yields is to be trusted only after its last line: that is where the
   * checksum and the counts are compared.
   *
   * @throws HeedError if the file is damaged, was cut, or is of another version.
   */
  lines(): AsyncGenerator<BackupLine>;
}

/**
 * Opens a backup.
 *
 * @throws HeedError if it cannot be read, is no backup, or is encrypted with another passphrase.
 */
export async function openBackupFile(path: string, passphrase?: string): Promise<BackupFile> {
  const head = await headOf(path);
  if (!isEncrypted(head)) {
    if (head[0] !== 0x1f || head[1] !== 0x8b) {
      throw new HeedError(`"${path}" is not a backup of heed.`, {
        hint: 'Pass a file that "heed feedback backup" of this version, or an earlier one, has written.',
      });
    }
    return { path, encrypted: false, lines: () => checkedLines(path, () => createReadStream(path)) };
  }
  if (passphrase === undefined) {
    throw new HeedError(`"${path}" is encrypted, and there is no key.`, {
      hint: 'Set HEED_BACKUP_KEY, or pass --key-file with the file that holds the key.',
    });
  }
  const decrypt = await decryptWith(passphrase, head, path);
  const chunks = () => Readable.from(decrypt(createReadStream(path, { start: HEAD_BYTES })), { objectMode: false });
  return { path, encrypted: true, lines: () => checkedLines(path, chunks) };
}

async function headOf(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}

async function* checkedLines(path: string, open: () => Readable): AsyncGenerator<BackupLine> {
  const hash = createHash('sha256');
  const left = new Map<string, number>();
  let header: BackupHeader | undefined;
  let ended = false;
  const damaged = (why: string, cause?: unknown) =>
    new HeedError(`"${path}" is damaged: ${why}.`, { hint: MORE, cause });
  try {
    const text = connected(open(), createGunzip(), () => {});
    for await (const { line, bytes } of linesOf(text)) {
      if (ended) throw damaged(`line ${line} is after its end`);
      const value = parsed(bytes);
      if (!header) {
        header = headerIn(path, value);
        for (const [table, count] of Object.entries(header.tables)) left.set(table, count);
        yield { kind: 'header', header };
      } else {
        const row = rowSchema.safeParse(value);
        if (!row.success) {
          const end = endSchema.safeParse(value);
          if (!end.success) throw damaged(`line ${line} is not a row`);
          const sha256 = hash.digest('hex');
          if (end.data.sha256 !== sha256) throw damaged('its checksum does not match its content');
          const missing = [...left].find(([, count]) => count !== 0);
          if (missing) throw damaged(`its header counts ${missing[1]} more rows of "${missing[0]}" than it has`);
          ended = true;
          yield { kind: 'end', sha256 };
          continue;
        }
        const { table } = row.data;
        if (!left.has(table)) throw damaged(`line ${line} has a table "${table}" that its header does not name`);
        left.set(table, left.get(table)! - 1);
        yield { kind: 'row', line, ...row.data };
      }
      hash.update(bytes).update('\n');
    }
    if (!ended) throw damaged('it was cut off: its last lines are missing');
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'Z_BUF_ERROR') throw damaged('it was cut off: its last bytes are missing', error);
    if (String(code).startsWith('Z_')) throw damaged(messageOf(error), error);
    if (error instanceof DamagedFile) throw damaged(error.message, error);
    throw isSystemError(error) ? fileError(error, 'read', path) : error;
  }
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined; // said with its line by the caller
  }
}

function headerIn(path: string, value: unknown): BackupHeader {
  const header = headerSchema.safeParse(value);
  if (header.success) return header.data;
  const { format, version } = (value ?? {}) as { format?: unknown; version?: unknown };
  if (format === 'heed-backup' && version !== VERSION) {
    throw new HeedError(`"${path}" is a backup of format version ${String(version)}: expected ${VERSION}.`, {
      hint: 'Update heed.',
    });
  }
  throw new HeedError(`"${path}" is not a backup of heed: its first line is not the header of one.`, {
    hint: 'Pass a file that "heed feedback backup" has written.',
  });
}
