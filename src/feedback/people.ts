/** People: who may do what, and how they prove who they are. Of tokens only hashes are kept. */
import { createHash, randomBytes } from 'node:crypto';
import { HeedError } from '../error.ts';
import { newId, note } from './store/audit.ts';
import { atOnce, type Database } from './store/database.ts';

/** An owner manages projects and people; a reviewer sees everybody's answers and decides between them; an annotator answers. */
export const roles = ['owner', 'reviewer', 'annotator'] as const;
export type Role = (typeof roles)[number];

export interface Person {
  id: string;
  name: string;
  role: Role;
}

/** Whether a role may do what another may. */
export const mayAs = (role: Role, needed: Role): boolean => roles.indexOf(role) <= roles.indexOf(needed);

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** 256 bits that nobody guesses, as text for a link. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

const NAME = /^[\p{L}\p{N}][\p{L}\p{N} .@_-]{0,99}$/u;

/** A person with a token to sign in with, which is told this once. @throws HeedError for a name that is taken or unfit. */
export async function addPerson(
  { query }: Database,
  name: string,
  role: Role = 'annotator',
  by: string | null = null,
): Promise<{ person: Person; token: string }> {
  if (!NAME.test(name)) {
    throw new HeedError(`"${name}" cannot be a name.`, {
      hint: 'Expected up to 100 letters, digits, spaces, dots, @, dashes and underscores, the first a letter or digit.',
    });
  }
  const token = newSecret();
  const person: Person = { id: newId(), name, role };
  await atOnce(query, async (query) => {
    const made = await query
      .insertInto('people')
      .values({ ...person, tokenHash: hashOf(token), created: Date.now() })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .returning('id')
      .executeTakeFirst();
    if (!made) {
      throw new HeedError(`There is somebody called "${name}" already.`, {
        hint: 'Take another name, or give them a new token: heed feedback users token NAME.',
      });
    }
    await note(query, { person: by, kind: 'person added', detail: { name, role } });
  });
  return { person, token };
}

/** Who has a token; undefined for none that is known. */
export async function personByToken({ query }: Database, token: string): Promise<Person | undefined> {
  const row = await query
    .selectFrom('people')
    .select(['id', 'name', 'role'])
    .where('tokenHash', '=', hashOf(token))
    .executeTakeFirst();
  return row as Person | undefined;
}

/** By name. @throws HeedError where there is nobody. */
export async function findPerson({ query }: Database, name: string): Promise<Person> {
  const row = await query
    .selectFrom('people')
    .select(['id', 'name', 'role'])
    .where('name', '=', name)
    .executeTakeFirst();
  if (row) return row as Person;
  throw new HeedError(`There is nobody called "${name}".`, { hint: 'See who there is: heed feedback users list.' });
}

/** Who goes by that name; where there is nobody, a new person who has no token yet that anybody knows. */
export async function ensurePerson(database: Database, name: string, role: Role): Promise<Person> {
  const find = () =>
    database.query.selectFrom('people').select(['id', 'name', 'role']).where('name', '=', name).executeTakeFirst();
  const known = await find();
  if (known) return known as Person;
  try {
    return (await addPerson(database, name, role)).person;
  } catch (error) {
    // another process may have been quicker
    const other = await find();
    if (other) return other as Person;
    throw error;
  }
}

export async function listPeople({ query }: Database): Promise<(Person & { active: boolean; created: number })[]> {
  const rows = await query
    .selectFrom('people')
    .select(['id', 'name', 'role', 'tokenHash', 'created'])
    .orderBy('created')
    .execute();
  return rows.map(({ tokenHash, role, ...row }) => ({ ...row, role: role as Role, active: tokenHash !== null }));
}

/** A new token in place of the old, which no longer signs in; sessions end. `null` shuts them out; what they answered stays. */
export async function changeToken(
  { query }: Database,
  { id, name }: Person,
  to: 'new' | null,
  by: string | null = null,
): Promise<string | undefined> {
  const token = to === 'new' ? newSecret() : undefined;
  await query.transaction().execute(async (query) => {
    await query
      .updateTable('people')
      .set({ tokenHash: token === undefined ? null : hashOf(token) })
      .where('id', '=', id)
      .execute();
    await query.deleteFrom('sessions').where('person', '=', id).execute();
    await note(query, {
      person: by,
      kind: token === undefined ? 'person shut out' : 'token changed',
      detail: { name },
    });
  });
  return token;
}

/** What they may do from now on; sessions that are open go by it at once. */
export async function changeRole(
  { query }: Database,
  { id, name }: Person,
  role: Role,
  by: string | null = null,
): Promise<Person> {
  await query.transaction().execute(async (query) => {
    await query.updateTable('people').set({ role }).where('id', '=', id).execute();
    await note(query, { person: by, kind: 'role changed', detail: { name, role } });
  });
  return { id, name, role };
}

interface Session {
  person: Person;
  /** What a request that changes something has to send along. */
  csrf: string;
}

/** Begins a session; the secret goes into a cookie. */
export async function openSession(
  { query }: Database,
  person: Person,
  { seconds = 14 * 24 * 3600, now = Date.now() }: { seconds?: number; now?: number } = {},
): Promise<{ secret: string; csrf: string }> {
  const [secret, csrf] = [newSecret(), newSecret()];
  const session = { hash: hashOf(secret), person: person.id, csrf, created: now, expires: now + 1000 * seconds };
  await query.deleteFrom('sessions').where('expires', '<=', now).execute();
  await query.insertInto('sessions').values(session).execute();
  return { secret, csrf };
}

export async function sessionOf({ query }: Database, secret: string, now = Date.now()): Promise<Session | undefined> {
  const row = await query
    .selectFrom('sessions')
    .innerJoin('people', 'people.id', 'sessions.person')
    .select(['people.id', 'people.name', 'people.role', 'sessions.csrf'])
    .where('sessions.hash', '=', hashOf(secret))
    .where('sessions.expires', '>', now)
    .executeTakeFirst();
  if (!row) return undefined;
  const { csrf, ...person } = row;
  return { person: person as Person, csrf };
}

export const closeSession = ({ query }: Database, secret: string): Promise<unknown> =>
  query.deleteFrom('sessions').where('hash', '=', hashOf(secret)).execute();
