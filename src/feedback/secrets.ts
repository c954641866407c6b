/** Secrets: what proves who somebody is. Databases keep their hashes, never the secrets. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { HeedError } from '../error.ts';

/** SHA-256 of a secret, as hexadecimal digits. */
export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** 256 random bits, as text that fits into a link. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

const KEY = 'heed-';

/** A new API key, which begins with `heed-`, and its hash. */
export function newKey(): { secret: string; hash: string } {
  const secret = `${KEY}${newSecret()}`;
  return { secret, hash: hashOf(secret) };
}

/** Whether a secret looks like an API key. */
export const isKey = (secret: string): boolean => secret.startsWith(KEY);

/** Checks the name of an API key. @throws HeedError if it is not allowed. */
export function checkKeyName(name: string): void {
  if (!/^[\w .@-]{1,100}$/.test(name)) {
    throw new HeedError(`"${name}" cannot be the name of a key.`, { hint: 'Use letters, digits, spaces and . @ _ -' });
  }
}

const NONCE = 12;
const TAG = 16;
const sealingKey = (secret: string) => new Uint8Array(hkdfSync('sha256', secret, '', 'heed sealed', 32));

/** Encrypts a text (AES-256-GCM) so that only who has the secret can read it. */
export function seal(secret: string, text: string): string {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', sealingKey(secret), nonce);
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** Reads what `seal` encrypted; undefined with another secret. */
export function unseal(secret: string, sealed: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64url');
  const cipher = createDecipheriv('aes-256-gcm', sealingKey(secret), bytes.subarray(0, NONCE), { authTagLength: TAG });
  cipher.setAuthTag(bytes.subarray(-TAG));
  try {
    return Buffer.concat([cipher.update(bytes.subarray(NONCE, -TAG)), cipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}
