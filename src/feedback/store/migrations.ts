/** Migrations of the schema, applied once each, in order. A released one is never edited: a change is a new entry. */
import { type Kysely, Migrator, sql } from 'kysely';
import { HeedError } from '../../error.ts';
import type { Tables } from './schema.ts';

type Kind = 'sqlite' | 'postgres';

/**
 * Applies the migrations that are missing, up to one of them or all. Several processes may start at once.
 *
 * @throws HeedError if another version of heed has written the database.
 */
export async function migrate(query: Kysely<Tables>, kind: Kind, to?: string): Promise<void> {
  if (kind === 'postgres') return run(query, kind, to);
  if (to === undefined && (await isLatest(query))) return;
  // for SQLite, Kysely would run each statement by itself: two processes would get in each other's way
  await query.connection().execute(async (query) => {
    await sql`begin immediate`.execute(query);
    try {
      await run(query, kind, to);
      await sql`commit`.execute(query);
    } catch (error) {
      await sql`rollback`.execute(query).catch(() => {}); // the error is the one to tell
      throw error;
    }
  });
}

/** Whether exactly the migrations that this version knows are applied. */
async function isLatest(query: Kysely<Tables>): Promise<boolean> {
  const tables = await query.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === 'kysely_migration')) return false;
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(query);
  return rows.map(({ name }) => name).join() === schemaVersions().join();
}

async function run(query: Kysely<Tables>, kind: Kind, to?: string): Promise<void> {
  const known = Object.entries(migrations).map(([name, up]) => [name, { up: (on: Kysely<unknown>) => up(on, kind) }]);
  const migrator = new Migrator({ db: query, provider: { getMigrations: async () => Object.fromEntries(known) } });
  const { error } = await (to === undefined ? migrator.migrateToLatest() : migrator.migrateTo(to));
  if (!error) return;
  if (isOfAnotherVersion(error)) {
    throw new HeedError('Another version of heed has written this store.', {
      hint: 'Update heed, or open another store.',
      cause: error,
    });
  }
  throw error;
}

/** Whether Kysely refuses a database because it has migrations that this version of heed does not know. */
export const isOfAnotherVersion = (error: unknown): boolean =>
  /previously executed migration .* is missing/.test(String(error));

/** The versions of the schema that this version of heed knows: the names of its migrations, in order. */
export const schemaVersions = (): string[] => Object.keys(migrations);

/** Migrations by name. */
export const migrations: Record<string, (query: Kysely<unknown>, kind: Kind) => Promise<void>> = {
  '001-initial': async (query, kind) => {
    const script = INITIAL.replaceAll('counter', kind === 'sqlite' ? 'integer' : 'serial');
    for (const statement of script.split(';\n')) await sql.raw(statement).execute(query);
  },
};

/** The first schema. Times are as wide as a JavaScript number, and `counter` counts up by itself. */
const INITIAL = `
create table people (
  id text primary key, name text not null unique, role text not null, "tokenHash" text unique,
  created double precision not null, "tokenExpires" double precision, "tokenUnusedUntil" double precision
);
create table sessions (
  hash text primary key, person text not null references people (id), csrf text not null,
  created double precision not null, expires double precision not null,
  id text, seen double precision, method text, device text, sealed text
);
create unique index sessions_id on sessions (id);
create index sessions_person on sessions (person);
create table identities (
  issuer text not null, subject text not null, person text not null references people (id) on delete cascade,
  "groupRole" text, created double precision not null,
  constraint identities_key primary key (issuer, subject)
);
create index identities_person on identities (person);
create table signins (
  hash text primary key, state text not null, nonce text not null, verifier text not null, page text not null,
  person text references people (id) on delete cascade, expires double precision not null
);
create table keys (
  id text primary key, person text not null references people (id) on delete cascade,
  name text not null, hash text not null unique, "scopesJson" text not null,
  created double precision not null, expires double precision not null, used double precision,
  constraint keys_person_name unique (person, name)
);
create table projects (
  id text primary key, name text not null unique, "settingsJson" text not null,
  created double precision not null, archived double precision
);
create table "formerNames" (
  name text primary key, project text not null references projects (id)
);
create index former_names_project on "formerNames" (project);
create table members (
  project text not null references projects (id), person text not null references people (id),
  constraint members_key primary key (project, person)
);
create index members_person on members (person);
create table guidelines (
  project text not null references projects (id), version integer not null, text text not null,
  created double precision not null, person text,
  constraint guidelines_key primary key (project, version)
);
create table filters (
  project text not null references projects (id), name text not null,
  search text not null, state text not null, person text not null, verdict text,
  aspect text, least double precision, most double precision,
  constraint filters_key primary key (project, name)
);
create table retention (
  project text not null, rule text not null, days double precision not null,
  constraint retention_key primary key (project, rule)
);
create table webhooks (
  id text primary key, project text not null references projects (id), url text not null, "signingKey" text not null,
  judgments integer not null, events integer not null, failures integer not null, due double precision not null,
  created double precision not null
);
create index webhooks_project on webhooks (project);
create table deliveries (
  id text primary key, webhook text not null references webhooks (id), project text not null,
  created double precision not null, event text not null, status integer, error text
);
create index deliveries_webhook on deliveries (webhook, created);
create index deliveries_project on deliveries (project, created);
create table items (
  seq counter primary key, id text not null unique, project text not null references projects (id),
  key text not null, "contentJson" text not null, source text, topic text, "metadataJson" text, "goldJson" text,
  practice integer not null, priority double precision not null, taken integer not null, answered integer not null,
  "decidedBy" text references people (id), closed integer not null, created double precision not null,
  wanted integer default 1 not null, decision integer, archived double precision, "suggestionJson" text, author text,
  "critiquesJson" text,
  reserved integer default 0 not null,
  constraint items_project_key unique (project, key)
);
-- open items of a project by priority, then in order of arrival, without passing those that are judged already
create index items_queue on items (project, priority desc, seq)
  where closed = 0 and "goldJson" is null and taken < wanted;
-- progress, without reading the items' contents: SQLite needs the condition's columns in the index too
create index items_progress on items (project, answered, wanted, decision, "goldJson", archived)
  where "goldJson" is null and archived is null;
create index items_gold on items (project, practice desc, seq) where "goldJson" is not null;
-- the items of a project in their order, a part at a time
create index items_order on items (project, seq);
create table leases (
  item text not null references items (id), person text not null references people (id),
  project text not null, expires double precision not null, handed double precision,
  constraint leases_key primary key (item, person)
);
create index leases_person on leases (project, person);
create index leases_expires on leases (project, expires);
create table reserved (
  item text not null references items (id), person text not null references people (id), project text not null,
  constraint reserved_key primary key (item, person)
);
create index reserved_person on reserved (project, person, item);
create table tallies (
  project text not null references projects (id), person text not null references people (id),
  given integer not null, labels integer not null,
  constraint tallies_key primary key (project, person)
);
create table estimates (
  project text not null references projects (id), person text not null, "valuesJson" text not null,
  constraint estimates_key primary key (project, person)
);
create table judgments (
  seq counter primary key, id text not null unique, project text not null,
  item text not null references items (id), person text not null references people (id),
  kind text not null, "judgmentJson" text not null, "shownJson" text, duration double precision,
  handed double precision, guidelines integer not null, created double precision not null, suggested integer,
  "critiquesSeen" integer
);
create index judgments_project on judgments (project, seq);
create index judgments_person on judgments (project, person, seq);
create index judgments_item on judgments (item, person, seq);
create table latest (
  item text not null references items (id), person text not null references people (id), project text not null,
  judgment integer not null, kind text not null, "judgmentJson" text not null, created double precision not null,
  constraint latest_key primary key (item, person)
);
create index latest_person on latest (project, person);
create table comments (
  id text primary key, project text not null references projects (id), item text not null references items (id),
  person text not null references people (id), text text not null, created double precision not null
);
create index comments_item on comments (item, created);
create index comments_person on comments (person);
-- turns of chats, which go on after a restart
create table turns (
  id text primary key, person text not null references people (id), "contentJson" text not null,
  created double precision not null
);
create index turns_created on turns (created);
-- the hash chain of what was done
create table events (
  seq integer primary key, project text, person text, kind text not null, "detailJson" text not null,
  created double precision not null, salt text, digest text not null, previous text not null, hash text not null
);
create index events_project on events (project, seq);
-- a line can have one line after it: two servers cannot write two chains
create unique index events_previous on events (previous);
create unique index events_hash on events (hash)`;
