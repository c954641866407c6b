/** Migrations of the schema, applied once each, in order. A released one is never edited: a change is a new entry. */
import { randomUUID } from 'node:crypto';
import { type Kysely, Migrator, sql } from 'kysely';
import { HeedError } from '../../error.ts';
import { type AuditLine, chained } from './audit-chain.ts';
import type { Tables } from './schema.ts';

type Kind = 'sqlite' | 'postgres';

/**
 * Applies the migrations that are missing, up to one of them or all. Several processes may start at once.
 *
 * @throws HeedError if a newer version of heed has written the database.
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
  return rows.map(({ name }) => name).join() === schemaVersions('sqlite').join();
}

async function run(query: Kysely<Tables>, kind: Kind, to?: string): Promise<void> {
  const migrations = migrationsOf(kind);
  const migrator = new Migrator({ db: query, provider: { getMigrations: async () => migrations } });
  const { error } = await (to === undefined ? migrator.migrateToLatest() : migrator.migrateTo(to));
  if (!error) return;
  if (isOfNewer(error)) {
    throw new HeedError('A newer version of heed has written this store.', {
      hint: 'Update heed, or open another store.',
      cause: error,
    });
  }
  throw error;
}

/** Whether Kysely refuses a database because it has migrations that this version of heed does not know. */
export const isOfNewer = (error: unknown): boolean => /previously executed migration .* is missing/.test(String(error));

/** The versions of the schema that this version of heed knows: the names of its migrations, in order. */
export const schemaVersions = (kind: Kind): string[] => Object.keys(migrationsOf(kind));

const migrationsOf = (kind: Kind) => ({
  '001-begin': { up: (query: Kysely<unknown>) => begin(query, kind) },
  '002-queue': { up: queue },
  '003-turns': { up: turns },
  '004-decisions': { up: decisions },
  '005-members': { up: members },
  '006-suggestions': { up: suggestions },
  '007-identities': { up: identities },
  '008-audit-log': { up: auditLog },
  '009-comments': { up: comments },
  '010-token-dates': { up: tokenDates },
  '011-item-order': { up: itemOrder },
  '012-handed-out': { up: handedOut },
});

async function begin(query: Kysely<unknown>, kind: Kind): Promise<void> {
  const counter = kind === 'sqlite' ? ('integer' as const) : ('serial' as const);
  // as wide as a JavaScript number
  const time = 'double precision' as const;
  const { schema } = query;
  await schema
    .createTable('projects')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('settingsJson', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .execute();
  await schema
    .createTable('people')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('tokenHash', 'text', (column) => column.unique())
    .addColumn('created', time, (column) => column.notNull())
    .execute();
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
    .addUniqueConstraint('items_project_key', ['project', 'key'])
    .execute();
  // the queue: open items of a project by priority, then in order of arrival
  await sql`create index items_queue on items (project, priority desc, seq) where closed = 0 and "goldJson" is null`.execute(
    query,
  );
  // progress, without reading the items' contents: SQLite needs the condition's column in the index too
  await sql`create index items_progress on items (project, answered, "goldJson") where "goldJson" is null`.execute(
    query,
  );
  await sql`create index items_gold on items (project, practice desc, seq) where "goldJson" is not null`.execute(query);
  await schema
    .createTable('sessions')
    .addColumn('hash', 'text', (column) => column.primaryKey())
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('csrf', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addColumn('expires', time, (column) => column.notNull())
    .execute();
  await schema
    .createTable('leases')
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('project', 'text', (column) => column.notNull())
    .addColumn('expires', time, (column) => column.notNull())
    .addPrimaryKeyConstraint('leases_key', ['item', 'person'])
    .execute();
  await schema.createIndex('leases_person').on('leases').columns(['project', 'person']).execute();
  await schema.createIndex('leases_expires').on('leases').columns(['project', 'expires']).execute();
  await schema
    .createTable('votes')
    .addColumn('seq', counter, (column) => column.primaryKey())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('project', 'text', (column) => column.notNull())
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('answerJson', 'text', (column) => column.notNull())
    .addColumn('shownJson', 'text')
    .addColumn('duration', time)
    .addColumn('guidelines', 'integer', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .execute();
  await schema.createIndex('votes_project').on('votes').columns(['project', 'seq']).execute();
  await schema.createIndex('votes_person').on('votes').columns(['project', 'person', 'seq']).execute();
  await schema
    .createTable('answers')
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('project', 'text', (column) => column.notNull())
    .addColumn('vote', 'integer', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('answerJson', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .addPrimaryKeyConstraint('answers_key', ['item', 'person'])
    .execute();
  await schema.createIndex('answers_person').on('answers').columns(['project', 'person']).execute();
  await schema
    .createTable('events')
    .addColumn('seq', counter, (column) => column.primaryKey())
    .addColumn('project', 'text')
    .addColumn('person', 'text')
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('detailJson', 'text', (column) => column.notNull())
    .addColumn('created', time, (column) => column.notNull())
    .execute();
  await schema.createIndex('events_project').on('events').columns(['project', 'seq']).execute();
}

/** Finds the next item without passing the ones that are judged already, and without counting judgments. */
async function queue(query: Kysely<unknown>): Promise<void> {
  const { schema } = query;
  await schema
    .alterTable('items')
    .addColumn('wanted', 'integer', (column) => column.notNull().defaultTo(1))
    .execute();
  const projects = await sql<{ id: string; settingsJson: string }>`select id, "settingsJson" from projects`.execute(
    query,
  );
  for (const { id, settingsJson } of projects.rows) {
    await sql`update items set wanted = ${JSON.parse(settingsJson).overlap} where project = ${id}`.execute(query);
  }
  await schema.dropIndex('items_queue').execute();
  await sql`create index items_queue on items (project, priority desc, seq)
    where closed = 0 and "goldJson" is null and taken < wanted`.execute(query);
  await schema.createIndex('votes_item').on('votes').columns(['item', 'person', 'seq']).execute();
  await schema
    .createTable('tallies')
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('given', 'integer', (column) => column.notNull())
    .addColumn('labels', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('tallies_key', ['project', 'person'])
    .execute();
  await sql`insert into tallies (project, person, given, labels)
    select answers.project, answers.person, count(*),
      sum(case when answers.kind = 'answer' and items."goldJson" is null then 1 else 0 end)
    from answers join items on items.id = answers.item group by answers.project, answers.person`.execute(query);
}

/** Conversations continue after the studio was restarted. */
async function turns({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('turns')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('contentJson', 'text', (column) => column.notNull())
    .addColumn('created', 'double precision', (column) => column.notNull())
    .execute();
  await schema.createIndex('turns_created').on('turns').column('created').execute();
}

/** A decision is no annotator's judgment: it leaves the judgments, and the record says what it is. */
async function decisions(query: Kysely<unknown>): Promise<void> {
  const { schema } = query;
  await schema.alterTable('items').addColumn('decision', 'integer').execute();
  await schema.alterTable('items').addColumn('archived', 'double precision').execute();
  const decided = await sql<{ id: string; project: string; person: string; gold: number }>`
    select id, project, "decidedBy" as person, case when "goldJson" is null then 0 else 1 end as gold
    from items where "decidedBy" is not null`.execute(query);
  for (const { id, project, person, gold } of decided.rows) {
    const votes = await sql<{ seq: number; kind: string; answerJson: string; created: number }>`
      select seq, kind, "answerJson", created from votes where item = ${id} and person = ${person} order by seq`.execute(
      query,
    );
    const standing: (typeof votes.rows)[number][] = [];
    for (const vote of votes.rows) {
      if (vote.kind === 'undo') standing.pop();
      else standing.push(vote);
    }
    const decision = standing.pop();
    if (!decision) continue;
    await sql`update votes set kind = 'decision' where seq = ${decision.seq}`.execute(query);
    await sql`update items set decision = ${decision.seq} where id = ${id}`.execute(query);
    const own = standing.at(-1);
    if (own) {
      await sql`update answers set vote = ${own.seq}, kind = ${own.kind}, "answerJson" = ${own.answerJson},
        created = ${own.created} where item = ${id} and person = ${person}`.execute(query);
      continue;
    }
    await sql`delete from answers where item = ${id} and person = ${person}`.execute(query);
    await sql`update tallies set given = given - 1, labels = labels - ${1 - gold}
      where project = ${project} and person = ${person}`.execute(query);
    await sql`update items set answered = answered - 1, taken = taken - 1 where id = ${id}`.execute(query);
  }
  await schema.dropIndex('items_progress').execute();
  await sql`create index items_progress on items (project, answered, wanted, decision, "goldJson", archived)
    where "goldJson" is null and archived is null`.execute(query);
  await schema
    .createTable('estimates')
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('person', 'text', (column) => column.notNull())
    .addColumn('valuesJson', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('estimates_key', ['project', 'person'])
    .execute();
}

/** Annotators see the projects that they are members of: at first those that there are, as before. */
async function members(query: Kysely<unknown>): Promise<void> {
  const { schema } = query;
  await schema.alterTable('projects').addColumn('archived', 'double precision').execute();
  await schema
    .createTable('members')
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addPrimaryKeyConstraint('members_key', ['project', 'person'])
    .execute();
  await schema.createIndex('members_person').on('members').column('person').execute();
  await sql`insert into members (project, person)
    select projects.id, people.id from projects cross join people where people.role = 'annotator'`.execute(query);
}

/** What a reward model says of an item, and whether a judgment was made with that in view. */
async function suggestions({ schema }: Kysely<unknown>): Promise<void> {
  await schema.alterTable('items').addColumn('suggestionJson', 'text').execute();
  await schema.alterTable('votes').addColumn('suggested', 'integer').execute();
}

/** People of a sign-in provider, API keys, and sessions that can be listed: those that are open stay open. */
async function identities(query: Kysely<unknown>): Promise<void> {
  const { schema } = query;
  const time = 'double precision' as const;
  const columns = [
    ['id', 'text'],
    ['seen', time],
    ['method', 'text'],
    ['device', 'text'],
    ['sealed', 'text'],
  ] as const;
  for (const [name, type] of columns) await schema.alterTable('sessions').addColumn(name, type).execute();
  const open = await sql<{ hash: string }>`select hash from sessions`.execute(query);
  for (const { hash } of open.rows) {
    await sql`update sessions set id = ${randomUUID()}, seen = ${Date.now()}, method = 'token' where hash = ${hash}`.execute(
      query,
    );
  }
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

/** Lines that are chained at once. */
const LINES = 50;

/**
 * The audit log becomes a hash chain, with the lines that are there in their order. Items of chats know who wrote them,
 * and a store knows for how long what is kept.
 */
async function auditLog(query: Kysely<unknown>): Promise<void> {
  const { schema } = query;
  // a column that must have a value cannot be added to rows without one: they move to a new table
  await schema
    .createTable('chainedEvents')
    .addColumn('seq', 'integer', (column) => column.primaryKey())
    .addColumn('project', 'text')
    .addColumn('person', 'text')
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('detailJson', 'text', (column) => column.notNull())
    .addColumn('created', 'double precision', (column) => column.notNull())
    .addColumn('salt', 'text')
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('previous', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .execute();
  let last: AuditLine | undefined;
  for (;;) {
    const { rows } = await sql<AuditLine>`select seq, project, person, kind, "detailJson", created from events
        where seq > ${last?.seq ?? -1} order by seq limit ${LINES}`.execute(query);
    const lines = rows.map((row) => {
      last = chained(row, last);
      return last;
    });
    if (lines.length === 0) break;
    await (query as Kysely<{ chainedEvents: AuditLine }>).insertInto('chainedEvents').values(lines).execute();
  }
  await schema.dropTable('events').execute();
  await schema.alterTable('chainedEvents').renameTo('events').execute();
  await schema.createIndex('events_project').on('events').columns(['project', 'seq']).execute();
  // a line can have one line after it: two servers cannot write two chains
  await schema.createIndex('events_previous').unique().on('events').column('previous').execute();
  await schema.createIndex('events_hash').unique().on('events').column('hash').execute();

  await schema.alterTable('items').addColumn('author', 'text').execute();
  await sql`update items set author = (select votes.person from votes where votes.item = items.id
      order by votes.seq limit 1) where source like 'chat with %'`.execute(query);

  await schema
    .createTable('retention')
    .addColumn('project', 'text', (column) => column.notNull())
    .addColumn('rule', 'text', (column) => column.notNull())
    .addColumn('days', 'double precision', (column) => column.notNull())
    .addPrimaryKeyConstraint('retention_key', ['project', 'rule'])
    .execute();
}

/** Comments on items, searches of items under names, and items that only some people get. */
async function comments({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('comments')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('text', 'text', (column) => column.notNull())
    .addColumn('created', 'double precision', (column) => column.notNull())
    .execute();
  await schema.createIndex('comments_item').on('comments').columns(['item', 'created']).execute();
  await schema.createIndex('comments_person').on('comments').column('person').execute();
  await schema
    .createTable('filters')
    .addColumn('project', 'text', (column) => column.notNull().references('projects.id'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('search', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('filters_key', ['project', 'name'])
    .execute();
  await schema
    .alterTable('items')
    .addColumn('reserved', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await schema
    .createTable('reserved')
    .addColumn('item', 'text', (column) => column.notNull().references('items.id'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('project', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('reserved_key', ['item', 'person'])
    .execute();
  await schema.createIndex('reserved_person').on('reserved').columns(['project', 'person', 'item']).execute();
}

/** Tokens expire on a date, and earlier if nobody uses them. Those that there are stay valid. */
async function tokenDates({ schema }: Kysely<unknown>): Promise<void> {
  for (const name of ['tokenExpires', 'tokenUnusedUntil']) {
    await schema.alterTable('people').addColumn(name, 'double precision').execute();
  }
}

/** The items of a project in their order, a part at a time. */
async function itemOrder({ schema }: Kysely<unknown>): Promise<void> {
  await schema.createIndex('items_order').on('items').columns(['project', 'seq']).execute();
}

/** When items were handed out, so that nobody is paid for more time than there was. */
async function handedOut({ schema }: Kysely<unknown>): Promise<void> {
  for (const table of ['leases', 'votes']) {
    await schema.alterTable(table).addColumn('handed', 'double precision').execute();
  }
}
