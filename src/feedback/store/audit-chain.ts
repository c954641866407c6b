/**
 * The hash chain of the audit log. Each line has the hash of the line before it, so a line cannot be changed, removed,
 * inserted or moved without the next one no longer fitting.
 *
 * What a line says about people (who did it, and the details) is not hashed itself: the line has a digest of it with a
 * random salt. Erasing both leaves a line that still fits, and a digest from which nothing can be guessed. A later line
 * names the lines that were erased, so that nobody can erase one in secret.
 *
 * The chain has no key: whoever can write the database can also write a whole new chain. The hash of the last line,
 * kept elsewhere, shows that; see `verifyAudit`.
 */
import { createHash } from 'node:crypto';
import { newSecret } from '../secrets.ts';
import type { Tables } from './schema.ts';

/** What the first line has as the hash of the line before. */
export const GENESIS = '0'.repeat(64);

/** Details of a line that was erased. */
export const ERASED = '{}';

/** A line of the log, as the store has it. */
export type AuditLine = Tables['events'];

/** The digest of what a line says about people. */
export const digestOf = ({ salt, person, detailJson }: { salt: string; person: string | null; detailJson: string }) =>
  sha256(['heed-audit-content-1', salt, person, detailJson]);

/** The hash of a line: of all its columns, with the digest for what it says about people. */
export const hashOfLine = ({
  previous,
  seq,
  created,
  kind,
  project,
  digest,
}: Pick<AuditLine, 'previous' | 'seq' | 'created' | 'kind' | 'project' | 'digest'>): string =>
  sha256(['heed-audit-line-1', previous, seq, created, kind, project, digest]);

/** The line as it belongs after another one (undefined at the beginning of the log). */
export function chained(
  line: Pick<AuditLine, 'seq' | 'project' | 'person' | 'kind' | 'detailJson' | 'created'>,
  after: Pick<AuditLine, 'hash'> | undefined,
): AuditLine {
  const salt = newSecret();
  const open = { ...line, salt, digest: digestOf({ ...line, salt }), previous: after?.hash ?? GENESIS };
  return { ...open, hash: hashOfLine(open) };
}

/** JSON of an array is the same in every database and on every machine. */
const sha256 = (values: readonly (string | number | null)[]): string =>
  createHash('sha256').update(JSON.stringify(values)).digest('hex');
