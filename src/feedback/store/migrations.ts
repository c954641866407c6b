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
    const counter = kind === 'sqlite' ? ('integer' as const) : ('serial' as const);
    await createPeople(query);
    await createItems(query, counter);
    await createQueue(query);
    await createJudgments(query, counter);
    await createAuditLog(query);
  },
};

type Counter = 'integer' | 'serial';

/** As wide as a JavaScript number. */
const time = 'double precision' as const;

/** People, how they sign in, and their sessions and keys. */
async function createPeople({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('people')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('tokenHash', 'text', (column) => column.unique())
    .addColumn('created', time, (column) => column.notNull())
    .addColumn('tokenExpires', time)
    .addColumn('tokenUnusedUntil', time)
    .execute();
  await schema
    .createTable('sessions')
    .addColumn('hash', 'text', (column) => column.primaryKey())
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('csrf', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addColumn('expires', time, (column) => column.notNull())
    .addColumn('id', 'text')
    .addColumn('seen', time)
    .addColumn('method', 'text')
    .addColumn('device', 'text')
    .addColumn('sealed', 'text')
    .execute();
  await schema.createIndex('sessions_id').unique().on('sessions').column('id').execute();
  await schema.createIndex('sessions_person').on('sessions').column('person').execute();
  await schema
    .createTable('identities')
    .addColumn('issuer', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('person', 'text', (column) => column.notNull().references('people.id').onDelete('cascade'))
    .addColumn('groupRole', 'text')
    .addColumn('created', time, (column) => column.notNull())
    .addPrimaryKeyConstraint('identities_key', ['issuer', 'subject'])
    .execute();
  await schema.createIndex('identities_person').on('identities').column('person').execute();
  await schema
    .createTable('signins')
    .addColumn('hash', 'text', (column) => column.primaryKey())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('nonce', 'text', (column) => column.notNull())
    .addColumn('verifier', 'text', (column) => column.notNull())
    .addColumn('page', 'text', (column) => column.notNull())
    .addColumn('person', 'text', (column) => column.references('people.id').onDelete('cascade'))
    .addColumn('expires', time, (column) => column.notNull())
    .execute();
  await schema
    .createTable('keys')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('person', 'text', (column) => column.notNull().references('people.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('scopesJson', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addColumn('expires', time, (column) => column.notNull())
    .addColumn('used', time)
    .addUniqueConstraint('keys_person_name', ['person', 'name'])
    .execute();
}

/** Projects, what belongs to them, and their items. */
async function createItems(query: Kysely<unknown>, counter: Counter): Promise<void> {
  const { schema } = query;
  await schema
    .createTable('projects')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('settingsJson', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addColumn('archived', time)
    .execute();
  await schema
    .createTable('members')
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addPrimaryKeyConstraint('members_key', ['project', 'person'])
    .execute();
  await schema.createIndex('members_person').on('members').column('person').execute();
  await schema
    .createTable('guidelines')
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('text', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addColumn('person', 'text')
    .addPrimaryKeyConstraint('guidelines_key', ['project', 'version'])
    .execute();
  await schema
    .createTable('filters')
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('search', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('person', 'text', (column) => column.notNull())
    .addColumn('verdict', 'text')
    .addPrimaryKeyConstraint('filters_key', ['project', 'name'])
    .execute();
  await schema
    .createTable('retention')
    .addColumn('project', 'text', (column) => column.notNull())
    .addColumn('rule', 'text', (column) => column.notNull())
    .addColumn('days', time, (column) => column.notNull())
    .addPrimaryKeyConstraint('retention_key', ['project', 'rule'])
    .execute();
  await schema
    .createTable('items')
    .addColumn('seq', counter, (column) => column.primaryKey())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('key', 'text', (column) => column.notNull())
    .addColumn('contentJson', 'text', (column) => column.notNull())
    .addColumn('source', 'text')
    .addColumn('topic', 'text')
    .addColumn('metadataJson', 'text')
    .addColumn('goldJson', 'text')
    .addColumn('practice', 'integer', (column) => column.notNull())
    .addColumn('priority', time, (column) => column.notNull())
    .addColumn('taken', 'integer', (column) => column.notNull())
    .addColumn('answered', 'integer', (column) => column.notNull())
    .addColumn('decidedBy', 'text', (column) => column.references('people.id'))
    .addColumn('closed', 'integer', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addColumn('wanted', 'integer', (column) => column.notNull().defaultTo(1))
    .addColumn('decision', 'integer')
    .addColumn('archived', time)
    .addColumn('suggestionJson', 'text')
    .addColumn('author', 'text')
    .addColumn('reserved', 'integer', (column) => column.notNull().defaultTo(0))
    .addUniqueConstraint('items_project_key', ['project', 'key'])
    .execute();
}

/** What finds the next item and counts progress, and who has which item. */
async function createQueue(query: Kysely<unknown>): Promise<void> {
  const { schema } = query;
  // open items of a project by priority, then in order of arrival, without passing those that are judged already
  await sql`create index items_queue on items (project, priority desc, seq)
    where closed = 0 and "goldJson" is null and taken < wanted`.execute(query);
  // progress, without reading the items' contents: SQLite needs the condition's columns in the index too
  await sql`create index items_progress on items (project, answered, wanted, decision, "goldJson", archived)
    where "goldJson" is null and archived is null`.execute(query);
  await sql`create index items_gold on items (project, practice desc, seq) where "goldJson" is not null`.execute(query);
  // the items of a project in their order, a part at a time
  await schema.createIndex('items_order').on('items').columns(['project', 'seq']).execute();
  await schema
    .createTable('leases')
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('project', 'text', (column) => column.notNull())
    .addColumn('expires', time, (column) => column.notNull())
    .addColumn('handed', time)
    .addPrimaryKeyConstraint('leases_key', ['item', 'person'])
    .execute();
  await schema.createIndex('leases_person').on('leases').columns(['project', 'person']).execute();
  await schema.createIndex('leases_expires').on('leases').columns(['project', 'expires']).execute();
  await schema
    .createTable('reserved')
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('project', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('reserved_key', ['item', 'person'])
    .execute();
  await schema.createIndex('reserved_person').on('reserved').columns(['project', 'person', 'item']).execute();
  await schema
    .createTable('tallies')
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('given', 'integer', (column) => column.notNull())
    .addColumn('labels', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('tallies_key', ['project', 'person'])
    .execute();
  await schema
    .createTable('estimates')
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('person', 'text', (column) => column.notNull())
    .addColumn('valuesJson', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('estimates_key', ['project', 'person'])
    .execute();
}

/** What people said: all of it in order, what stands, comments, and turns of chats, which go on after a restart. */
async function createJudgments({ schema }: Kysely<unknown>, counter: Counter): Promise<void> {
  await schema
    .createTable('judgments')
    .addColumn('seq', counter, (column) => column.primaryKey())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('project', 'text', (column) => column.notNull())
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('judgmentJson', 'text', (column) => column.notNull())
    .addColumn('shownJson', 'text')
    .addColumn('duration', time)
    .addColumn('handed', time)
    .addColumn('guidelines', 'integer', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addColumn('suggested', 'integer')
    .execute();
  await schema.createIndex('judgments_project').on('judgments').columns(['project', 'seq']).execute();
  await schema.createIndex('judgments_person').on('judgments').columns(['project', 'person', 'seq']).execute();
  await schema.createIndex('judgments_item').on('judgments').columns(['item', 'person', 'seq']).execute();
  await schema
    .createTable('latest')
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('project', 'text', (column) => column.notNull())
    .addColumn('judgment', 'integer', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('judgmentJson', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addPrimaryKeyConstraint('latest_key', ['item', 'person'])
    .execute();
  await schema.createIndex('latest_person').on('latest').columns(['project', 'person']).execute();
  await schema
    .createTable('comments')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('text', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .execute();
  await schema.createIndex('comments_item').on('comments').columns(['item', 'created']).execute();
  await schema.createIndex('comments_person').on('comments').column('person').execute();
  await schema
    .createTable('turns')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('contentJson', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .execute();
  await schema.createIndex('turns_created').on('turns').column('created').execute();
}

/** The hash chain of what was done. */
async function createAuditLog({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('events')
    .addColumn('seq', 'integer', (column) => column.primaryKey())
    .addColumn('project', 'text')
    .addColumn('person', 'text')
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('detailJson', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addColumn('salt', 'text')
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('previous', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .execute();
  await schema.createIndex('events_project').on('events').columns(['project', 'seq']).execute();
  // a line can have one line after it: two servers cannot write two chains
  await schema.createIndex('events_previous').unique().on('events').column('previous').execute();
  await schema.createIndex('events_hash').unique().on('events').column('hash').execute();
}
