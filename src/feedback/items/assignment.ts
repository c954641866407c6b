/**
 * Who is asked what: items are held for a person by leases that expire, so that an item gets as many answers as the
 * project wants and no more people at work on it than are still needed; nobody gets an item twice.
 */
import { type ExpressionBuilder, sql } from 'kysely';
import { random } from '../../random.ts';
import type { Project } from '../project.ts';
import type { Database, Query } from '../store/database.ts';
import type { Tables } from '../store/schema.ts';
import { type Item, itemColumns, itemOf } from './items.ts';

export interface Assignment {
  item: Item;
  /** In which order to show the options, as indices. */
  shown: number[];
  /** Until when it is held. */
  expires: number;
}

export interface NextOptions {
  /** Items to hold: those held already count. */
  count?: number;
  now?: number;
}

/**
 * Items for a person: first those that they hold already, then practice, then new ones, of which some have a known answer. Fewer than `count`
 * where others are just being given the rest; none where there are no more, or the project has all the answers that it wants.
 */
export async function nextItems(
  { query: root, kind }: Database,
  { id: project, settings }: Project,
  person: string,
  { count = 1, now = Date.now() }: NextOptions = {},
): Promise<Assignment[]> {
  await reclaim(root, kind, project, now);
  const expires = now + 1000 * settings.leaseSeconds;
  return root.transaction().execute(async (query) => {
    if (kind === 'postgres') await alone(query, project, person);
    const rows = await query
      .selectFrom('leases')
      .innerJoin('items', 'items.id', 'leases.item')
      .select(itemColumns.map((column) => `items.${column}` as const))
      .where('leases.project', '=', project)
      .where('leases.person', '=', person)
      .orderBy('leases.expires')
      .orderBy('items.seq')
      .limit(count)
      // what is just voted on, or taken back, is held no longer
      .$if(kind === 'postgres', (select) => select.forUpdate('leases').skipLocked())
      .execute();
    const held = rows.map(itemOf);
    if (held.length > 0) {
      const ids = held.map(({ id }) => id);
      await query
        .updateTable('leases')
        .set({ expires })
        .where('person', '=', person)
        .where('item', 'in', ids)
        .execute();
    }
    const fresh = await newItems(query, kind, { id: project, settings }, person, held.length, count - held.length);
    if (fresh.length > 0) {
      const leases = fresh.map(({ id: item }) => ({ item, person, project, expires }));
      await query.insertInto('leases').values(leases).execute();
    }
    return [...held, ...fresh].map((item) => ({ item, shown: orderFor(item, person), expires }));
  });
}

/**
 * One person's requests go one after another; those of others do not wait for them. The commit does not wait for the disk either: a
 * lease that a power cut takes back is as one that has expired.
 */
const alone = (query: Query, project: string, person: string): Promise<unknown> =>
  sql`select pg_advisory_xact_lock(hashtext(${project}), hashtext(${person})), set_config('synchronous_commit', 'off', true)`.execute(
    query,
  );

/** Items that nobody has given this person yet, with a place of each open one taken. Fewer where the queue ends. */
async function newItems(
  query: Query,
  kind: Database['kind'],
  { id: project, settings }: Pick<Project, 'id' | 'settings'>,
  person: string,
  held: number,
  count: number,
): Promise<Item[]> {
  if (count <= 0) return [];
  const { given, labels } = await talliesOf(query, project, person);
  if (settings.labels !== undefined && labels >= settings.labels) return [];
  const known: (Item | undefined)[] = [];
  for (let place = given + held; known.length < count; place++) {
    const others = known.flatMap((item) => item?.id ?? []);
    known.push(
      (place < settings.practice ? await goldFor(query, project, person, others, true) : undefined) ??
        (isGold(project, person, place, settings.goldShare)
          ? await goldFor(query, project, person, others, false)
          : undefined),
    );
  }
  const missing = known.filter((item) => !item).length;
  const open = missing === 0 ? [] : await takeOpen(query, kind, project, person, missing);
  const items = known.map((item) => item ?? open.shift());
  const end = items.indexOf(undefined);
  return items.slice(0, end < 0 ? count : end) as Item[];
}

/** Items that a person has answered or skipped, and all people's labels: answers that count, to items whose answer was not known. */
async function talliesOf(query: Query, project: string, person: string): Promise<{ given: number; labels: number }> {
  const all = await query
    .selectFrom('tallies')
    .select(['person', 'given', 'labels'])
    .where('project', '=', project)
    .execute();
  return {
    given: all.find((one) => one.person === person)?.given ?? 0,
    labels: all.reduce((sum, { labels }) => sum + labels, 0),
  };
}

/** Gives back what was held too long. What somebody is just voting on is left to the next who asks. */
async function reclaim(root: Query, kind: Database['kind'], project: string, now: number): Promise<void> {
  const late = await root
    .selectFrom('leases')
    .select('item')
    .distinct()
    .where('project', '=', project)
    .where('expires', '<=', now)
    .limit(1000)
    .execute();
  if (late.length === 0) return;
  await root.transaction().execute(async (query) => {
    const mine = await query
      .selectFrom('items')
      .select('id')
      .where(
        'id',
        'in',
        late.map(({ item }) => item),
      )
      .$if(kind === 'postgres', (select) => select.forNoKeyUpdate().skipLocked())
      .execute();
    if (mine.length === 0) return;
    const items = mine.map(({ id }) => id);
    await query.deleteFrom('leases').where('item', 'in', items).where('expires', '<=', now).execute();
    await recount(query, items);
  });
}

/** Brings items' counts up to date with their answers and leases; returns the answers of the first. */
export async function recount(query: Query, items: readonly string[]): Promise<number> {
  const count = (table: 'answers' | 'leases') =>
    sql<number>`(select count(*) from ${sql.table(table)} as held where held.item = items.id${table === 'answers' ? sql` and held.kind = 'answer'` : sql``})`;
  const [{ answered }] = await query
    .updateTable('items')
    .set({ answered: count('answers'), taken: sql`${count('answers')} + ${count('leases')}` })
    .where('id', 'in', items)
    .returning('answered')
    .execute();
  return answered;
}

/** Known answers come at places nobody can foresee, the same each time. */
const isGold = (project: string, person: string, place: number, share: number): boolean =>
  random(place, 'gold', project, person).uniform() < share;

/** Left and right are drawn for each person and item, the same each time they see it. */
function orderFor({ id, content }: Item, person: string): number[] {
  const order = Array.from(content.options, (_, i) => i);
  return random(0, 'order', id, person).shuffle(order);
}

async function goldFor(
  query: Query,
  project: string,
  person: string,
  others: readonly string[],
  practice: boolean,
): Promise<Item | undefined> {
  const row = await query
    .selectFrom('items')
    .select(itemColumns)
    .where('project', '=', project)
    .where('goldJson', 'is not', null)
    .where('practice', '=', Number(practice))
    .where('closed', '=', 0)
    .where(unseenBy(person))
    .$if(others.length > 0, (select) => select.where('id', 'not in', others))
    .orderBy('seq')
    .limit(1)
    .executeTakeFirst();
  return row && itemOf(row);
}

/** Of the queue's items those that come first, each with a place taken. */
async function takeOpen(
  query: Query,
  kind: Database['kind'],
  project: string,
  person: string,
  count: number,
): Promise<Item[]> {
  const take = async (most: number, passLocked: boolean) => {
    const rows = await query
      .with('open', (from) =>
        from
          .selectFrom('items')
          .select('id')
          .where('project', '=', project)
          .where('goldJson', 'is', null)
          .where('closed', '=', 0)
          .whereRef('taken', '<', 'wanted')
          .where(unseenBy(person))
          .orderBy('priority', 'desc')
          .orderBy('seq')
          .limit(most)
          .$if(kind === 'postgres', (select) => select.forNoKeyUpdate())
          .$if(passLocked, (select) => select.skipLocked()),
      )
      .updateTable('items')
      .set((set) => ({ taken: set('taken', '+', 1) }))
      .where('id', 'in', (select) => select.selectFrom('open').select('id'))
      .returning(itemColumns)
      .execute();
    return rows.sort((a, b) => b.priority - a.priority || a.seq - b.seq).map(itemOf);
  };
  if (kind === 'sqlite') return take(count, false);
  // who asks at the same time takes the next ones; only where all that is left is in somebody's hands is it waited for
  const free = await take(count, true);
  return free.length > 0 ? free : take(1, false);
}

const unseenBy = (person: string) => (where: ExpressionBuilder<Tables, 'items'>) => {
  const of = (table: 'answers' | 'leases') =>
    where.not(
      where.exists(
        where.selectFrom(table).select('item').whereRef('item', '=', 'items.id').where('person', '=', person),
      ),
    );
  return where.and([of('answers'), of('leases')]);
};
