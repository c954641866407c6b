/**
 * Encrypts a stream of bytes with a passphrase: scrypt makes the key, AES-256-GCM seals chunks of 64 KiB. Each nonce
 * has the chunk's number and whether it is the last, so that chunks cannot be cut off, repeated or put in another order
 * (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015).
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { HeedError } from '../../error.ts';

/** Bytes of plain text in a chunk. */
const CHUNK = 2 ** 16;
const TAG = 16;
const SALT = 16;
const PREFIX = 7;

/** What an encrypted file begins with. Other parameters of scrypt would be another version. */
const MAGIC = Buffer.from('heed-encrypted-1\n');

/** 128 MiB and a third of a second for each passphrase that somebody tries. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 };

/** Bytes before the first chunk: the magic, a salt, the beginning of all nonces, and a tag that tells a wrong key. */
export const HEAD_BYTES = MAGIC.length + SALT + PREFIX + TAG;

/** Whether a file that begins with these bytes is encrypted. */
export const isEncrypted = (head: Uint8Array): boolean => MAGIC.equals(head.subarray(0, MAGIC.length));

interface Keys {
  key: Buffer;
  /** The beginning of all nonces. */
  prefix: Uint8Array;
  /** What every tag also covers. */
  head: Uint8Array;
}

async function deriveKeys(head: Uint8Array, passphrase: string): Promise<Keys> {
  const salt = head.subarray(MAGIC.length, MAGIC.length + SALT);
  const prefix = head.subarray(MAGIC.length + SALT, MAGIC.length + SALT + PREFIX);
  const key = await new Promise<Buffer>((resolve, reject) =>
    // the same letters may be typed as other code points on another machine
    scrypt(passphrase.normalize('NFC'), salt, 32, SCRYPT, (error, bytes) => (error ? reject(error) : resolve(bytes))),
  );
  return { key, prefix, head: head.subarray(0, HEAD_BYTES - TAG) };
}

function nonceOf({ prefix }: Keys, index: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.set(prefix);
  nonce.writeUInt32BE(index, PREFIX);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

function seal(keys: Keys, index: number, last: boolean, bytes: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', keys.key, nonceOf(keys, index, last)).setAAD(keys.head);
  return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
}

/** The plain text of a chunk; undefined if its tag is wrong. */
function unseal(keys: Keys, index: number, last: boolean, bytes: Uint8Array): Buffer | undefined {
  if (bytes.length < TAG) return undefined;
  const nonce = nonceOf(keys, index, last);
  const cipher = createDecipheriv('aes-256-gcm', keys.key, nonce, { authTagLength: TAG }).setAAD(keys.head);
  cipher.setAuthTag(bytes.subarray(bytes.length - TAG));
  const text = cipher.update(bytes.subarray(0, bytes.length - TAG));
  try {
    return Buffer.concat([text, cipher.final()]);
  } catch {
    return undefined;
  }
}

/** Makes the stage of a pipeline that encrypts. */
export function encryptWith(passphrase: string): (chunks: AsyncIterable<Uint8Array>) => AsyncGenerator<Buffer> {
  return async function* (chunks) {
    const head = Buffer.concat([MAGIC, randomBytes(SALT + PREFIX)]);
    const keys = await deriveKeys(head, passphrase);
    yield Buffer.concat([head, seal(keys, 0, false, new Uint8Array())]);
    let index = 1;
    for await (const { bytes, last } of blocksOf(chunks, CHUNK)) yield seal(keys, index++, last, bytes);
  };
}

/**
 * Checks the passphrase of a file by its first `HEAD_BYTES`, and makes the stage of a pipeline that decrypts the rest.
 * The stage throws a HeedError at a chunk that was changed or cut; bytes that it yields are authentic.
 *
 * @throws HeedError for another passphrase.
 */
export async function decryptWith(
  passphrase: string,
  head: Uint8Array,
  name: string,
): Promise<(chunks: AsyncIterable<Uint8Array>) => AsyncGenerator<Buffer>> {
  const keys = await deriveKeys(head, passphrase);
  if (head.length < HEAD_BYTES || !unseal(keys, 0, false, head.subarray(HEAD_BYTES - TAG, HEAD_BYTES))) {
    throw new HeedError(`"${name}" was encrypted with another key, or its first ${HEAD_BYTES} bytes are damaged.`, {
      hint: 'Use the key that it was made with: HEED_BACKUP_KEY or --key-file.',
    });
  }
  return async function* (chunks) {
    let index = 1;
    for await (const { bytes, last } of blocksOf(chunks, CHUNK + TAG)) {
      const text = unseal(keys, index, last, bytes);
      if (!text) {
        const at = HEAD_BYTES + (index - 1) * (CHUNK + TAG);
        throw new HeedError(
          `"${name}" is damaged or cut off: bytes ${at} to ${at + bytes.length} are not what was written.`,
          {
            hint: 'Use another copy of this backup.',
          },
        );
      }
      index++;
      yield text;
    }
  };
}

/** Bytes in blocks of a size; the last may be shorter. */
async function* blocksOf(
  chunks: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<{ bytes: Uint8Array; last: boolean }> {
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of chunks) {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let from = 0;
    // one byte more has to be there: only the end of the stream says which block is the last
    for (; rest.length - from > size; from += size) yield { bytes: rest.subarray(from, from + size), last: false };
    rest = rest.subarray(from);
  }
  yield { bytes: rest, last: true };
}
