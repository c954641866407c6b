/** Checks the audit log: whether each line is the one that was written, and follows the one that it followed. */
import { z } from 'zod';
import { erasures } from './audit.ts';
import { type AuditLine, digestOf, ERASED, GENESIS, hashOfLine } from './audit-chain.ts';
import type { Database, DatabaseQuery } from './database.ts';

/** What can be wrong with a line of the audit log. */
export const auditFaults = ['changed', 'removed', 'inserted', 'moved', 'erased', 'cut'] as const;

/** Checks an `AuditCheck`. */
export const auditCheckSchema = z.object({
  valid: z.boolean().describe('whether every line is intact, and the log has the hash that was passed'),
  lines: z.number().int().describe('intact lines; all of them if the log is valid'),
  erased: z.number().int().describe('lines of those whose details were deleted, as a later line says'),
  head: z
    .object({
      seq: z.number().int().describe('position in the log'),
      hash: z.string().describe('hash of the line: write it down elsewhere'),
      time: z.string().describe('when it was written, in ISO 8601'),
    })
    .nullable()
    .describe('the last line; null if there is none'),
  since: z.number().int().optional().describe('position of the line that has the hash that was passed'),
  fault: z
    .object({
      kind: z
        .enum(auditFaults)
        .describe('how the line differs: erased without a record of it, or cut off after the hash that was passed'),
      seq: z.number().int().nullable().describe('position of the first line that is not intact; null for cut'),
      message: z.string().describe('what is wrong, in a sentence'),
    })
    .optional()
    .describe('the first line that is not intact'),
});
/** The outcome of `verifyAudit`. */
export type AuditCheck = z.output<typeof auditCheckSchema>;
type Fault = NonNullable<AuditCheck['fault']>;

/** Options of `verifyAudit`. */
export interface VerifyAuditOptions {
  /** Hash of a line that the log must still have: the head that an earlier check returned. */
  head?: string;
  /** Is told now and then how many lines are checked. */
  onLines?: (lines: number) => void;
}

/** Lines read at once. */
const AT_ONCE = 1000;

/**
 * Checks every line of the audit log, from the first. Nothing is written, and nobody waits.
 *
 * Lines that were cut off at the end leave a log that fits, and so does a log that was written anew by somebody who can
 * write the database. Pass the `head` of an earlier check, which was kept elsewhere: the log has it if neither happened.
 */
export async function verifyAudit(
  { query }: Pick<Database, 'query'>,
  { head, onLines }: VerifyAuditOptions = {},
): Promise<AuditCheck> {
  let last: AuditLine | undefined;
  let lines = 0;
  let since: number | undefined;
  let fault: Fault | undefined;
  const erased = new Set<number>();
  let unexplained = new Set<number>();
  walk: for (;;) {
    const some = await linesAfter(query, last?.seq);
    for (const line of some) {
      fault = await faultOf(query, line, last);
      if (fault) break walk;
      if (line.salt === null) {
        erased.add(line.seq);
        unexplained.add(line.seq);
      } else if (erasures.includes(line.kind)) {
        unexplained = without(unexplained, line.detailJson);
      }
      if (line.hash === head) since = line.seq;
      last = line;
      lines++;
    }
    onLines?.(lines);
    if (some.length < AT_ONCE) break;
  }
  const [secret] = unexplained;
  if (!fault && secret !== undefined) {
    const message = `Line ${secret} was erased: it has lost who did it and the details, and no later line says so.`;
    fault = { kind: 'erased', seq: secret, message };
  }
  if (!fault && head !== undefined && since === undefined) {
    const message = `No line has the hash ${head}: lines were cut off at the end, or the log was rewritten.`;
    fault = { kind: 'cut', seq: null, message };
  }
  const end = await query
    .selectFrom('events')
    .select(['seq', 'hash', 'created'])
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return {
    valid: fault === undefined,
    lines,
    erased: erased.size,
    head: end ? { seq: end.seq, hash: end.hash, time: new Date(end.created).toISOString() } : null,
    ...(since !== undefined && { since }),
    ...(fault && { fault }),
  };
}

const linesAfter = (query: DatabaseQuery, seq: number | undefined): Promise<AuditLine[]> =>
  query
    .selectFrom('events')
    .selectAll()
    .$if(seq !== undefined, (select) => select.where('seq', '>', seq!))
    .orderBy('seq')
    .limit(AT_ONCE)
    .execute();

/** What is wrong with a line that comes after `last`, all up to there being right. */
async function faultOf(query: DatabaseQuery, line: AuditLine, last: AuditLine | undefined): Promise<Fault | undefined> {
  const { seq } = line;
  const before = last?.hash ?? GENESIS;
  const follows = line.previous === before;
  const whole = hashOfLine(line) === line.hash;
  const found = (kind: Fault['kind'], message: string, at = seq): Fault => ({ kind, seq: at, message });
  if (follows && whole) {
    if (isContentOf(line)) return undefined;
    return found('changed', `Line ${seq} was changed: who did it or the details are not what was written.`);
  }
  const follower = query.selectFrom('events').select('seq').where('seq', '>', seq).where('previous', '=', before);
  if (follows) {
    const next = await follower.executeTakeFirst();
    return next
      ? found('inserted', `Line ${seq} was inserted: line ${next.seq} follows the line before it.`)
      : found('changed', `Line ${seq} was changed: its hash is not that of what it says.`);
  }
  const named = await query.selectFrom('events').select('seq').where('hash', '=', line.previous).executeTakeFirst();
  if (named && named.seq > seq) {
    return found('moved', `Lines were moved: line ${seq} follows line ${named.seq}.`);
  }
  const number = whole ? seq : numberOf(line);
  if (number === undefined) {
    const next = await follower.executeTakeFirst();
    return next
      ? found('inserted', `Line ${seq} was inserted: line ${next.seq} follows the line before it.`)
      : found('changed', `Line ${seq} was changed: it does not follow the line before it.`);
  }
  if (named || line.previous === GENESIS) {
    const first = (await linesAfter(query, named?.seq))[0].seq;
    return found('inserted', `Line ${first} was inserted: line ${seq} follows the line before it.`, first);
  }
  if (last && number === last.seq + 1) {
    return found('changed', `Line ${last.seq} was changed: line ${seq} follows another one.`, last.seq);
  }
  const where = last ? `Lines after line ${last.seq}` : 'The first lines';
  return found('removed', `${where} were removed: the line that line ${seq} follows is not there.`);
}

/** How far a line may have been moved by numbering lines again. */
const NEAR = 1000;

/** The position for which a line has its hash, near where it stands; undefined if it was changed otherwise. */
function numberOf(line: AuditLine): number | undefined {
  for (let seq = line.seq - NEAR; seq <= line.seq + NEAR; seq++) {
    if (hashOfLine({ ...line, seq }) === line.hash) return seq;
  }
  return undefined;
}

/** Whether who did it and the details are those of the digest, or were erased together. */
const isContentOf = ({ salt, person, detailJson, digest }: AuditLine): boolean =>
  salt === null ? person === null && detailJson === ERASED : digestOf({ salt, person, detailJson }) === digest;

/** The lines that are left when those are taken out that a line says were erased. */
function without(lines: Set<number>, detailJson: string): Set<number> {
  const { erased } = JSON.parse(detailJson) as { erased?: [from: number, to: number][] };
  return new Set([...lines].filter((line) => !erased?.some(([from, to]) => from <= line && line <= to)));
}
