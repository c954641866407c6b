/** People: who may do what, and how they prove who they are. The store keeps hashes of tokens, never the tokens. */
import { z } from 'zod';
import { HeedError } from '../error.ts';
import { type PersonRole, roles } from './roles.ts';
import { hashOf, newSecret } from './secrets.ts';
import { newId, note } from './store/audit.ts';
import { atOnce, type Database, type DatabaseQuery } from './store/database.ts';

/** Checks a `Person`. */
export const personSchema = z.object({
  id: z.string().describe('never changes'),
  name: z.string().describe('unique in the store'),
  role: z.enum(roles).describe('role of the person'),
});
/** Somebody who may sign in. */
export type Person = z.output<typeof personSchema>;

/** Checks an `Account`. */
export const accountSchema = personSchema.extend({
  active: z.boolean().describe('false after the person’s access was revoked'),
  created: z.number().describe('when the person was added, in milliseconds since 1970'),
});
/** A person as the list of people shows them. */
export type Account = z.output<typeof accountSchema>;

const NAME = /^[\p{L}\p{N}][\p{L}\p{N} .@_-]{0,99}$/u;

/**
 * Adds a person and returns the token they sign in with, which cannot be read again. `by` is the id of who adds them.
 *
 * @throws HeedError if the name is taken or not allowed.
 */
export async function addPerson(
  { query }: Database,
  name: string,
  role: PersonRole = 'annotator',
  by: string | null = null,
): Promise<{ person: Person; token: string }> {
  if (!NAME.test(name)) {
    throw new HeedError(`"${name}" cannot be the name of a person.`, {
      hint: 'Use up to 100 letters, digits, spaces and . @ _ -, starting with a letter or digit.',
    });
  }
  const token = newSecret();
  const person: Person = { id: newId(), name, role };
  await atOnce(query, async (query) => {
    const added = await query
      .insertInto('people')
      .values({ ...person, tokenHash: hashOf(token), created: Date.now() })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .returning('id')
      .executeTakeFirst();
    if (!added) {
      throw new HeedError(`There is already a person named "${name}".`, {
        hint: `Choose another name, or issue a new token: heed feedback users token ${name}`,
      });
    }
    await note(query, { person: by, kind: 'person added', detail: { name, role } });
  });
  return { person, token };
}

/** The person a token belongs to; undefined if it is nobody's. */
export async function personByToken({ query }: Database, token: string): Promise<Person | undefined> {
  const row = await query
    .selectFrom('people')
    .select(['id', 'name', 'role'])
    .where('tokenHash', '=', hashOf(token))
    .executeTakeFirst();
  return row as Person | undefined;
}

/** The person with a name. @throws HeedError if there is none. */
export async function findPerson({ query }: { query: DatabaseQuery }, name: string): Promise<Person> {
  const row = await query
    .selectFrom('people')
    .select(['id', 'name', 'role'])
    .where('name', '=', name)
    .executeTakeFirst();
  if (row) return row as Person;
  throw new HeedError(`There is no person named "${name}".`, { hint: 'List them with: heed feedback users list' });
}

/** The person with a name. If there is none, adds one whose token nobody knows. */
export async function ensurePerson(database: Database, name: string, role: PersonRole): Promise<Person> {
  const find = () =>
    database.query.selectFrom('people').select(['id', 'name', 'role']).where('name', '=', name).executeTakeFirst();
  const person = await find();
  if (person) return person as Person;
  try {
    return (await addPerson(database, name, role)).person;
  } catch (error) {
    // another process may have been quicker
    const other = await find();
    if (other) return other as Person;
    throw error;
  }
}

/** Everybody in the store, in the order they were added. */
export async function listPeople({ query }: Database): Promise<Account[]> {
  const rows = await query
    .selectFrom('people')
    .select(['id', 'name', 'role', 'tokenHash', 'created'])
    .orderBy('created')
    .execute();
  return rows.map(({ tokenHash, role, ...row }) => ({ ...row, role: role as PersonRole, active: tokenHash !== null }));
}

/**
 * Replaces a person's token, and ends their sessions and API keys; returns the new token. `null` revokes access instead, and keeps
 * the person's judgments.
 */
export async function changeToken(
  { query }: Database,
  { id, name }: Person,
  to: 'new' | null,
  by: string | null = null,
): Promise<string | undefined> {
  const token = to === 'new' ? newSecret() : undefined;
  await atOnce(query, async (query) => {
    await query
      .updateTable('people')
      .set({ tokenHash: token === undefined ? null : hashOf(token) })
      .where('id', '=', id)
      .execute();
    for (const table of ['sessions', 'keys'] as const) await query.deleteFrom(table).where('person', '=', id).execute();
    await note(query, {
      person: by,
      kind: token === undefined ? 'person shut out' : 'token changed',
      detail: { name },
    });
  });
  return token;
}

/** Changes a person's role, in open sessions too. Returns the person as they are now. */
export async function changeRole(
  { query }: Database,
  { id, name }: Person,
  role: PersonRole,
  by: string | null = null,
): Promise<Person> {
  await atOnce(query, async (query) => {
    await query.updateTable('people').set({ role }).where('id', '=', id).execute();
    await note(query, { person: by, kind: 'role changed', detail: { name, role } });
  });
  return { id, name, role };
}
