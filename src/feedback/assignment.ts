/**
 * Who is asked what: items are held for a person by leases that expire, so that an item gets as many answers as the
 * project wants and no more people at work on it than are still needed; nobody gets an item twice.
 */
import { type ExpressionBuilder, sql } from 'kysely';
import { random } from '../random.ts';
import type { Database, Query } from './database.ts';
import { type Item, itemColumns, itemOf } from './items.ts';
import type { Project } from './project.ts';
import type { Tables } from './schema.ts';

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
 * where there are no more, or the project has all the answers that it wants.
 */
export async function nextItems(
  { query: root, kind }: Database,
  { id: project, settings }: Project,
  person: string,
  { count = 1, now = Date.now() }: NextOptions = {},
): Promise<Assignment[]> {
  return root.transaction().execute(async (query) => {
    // one after another: who gets the last place of an item is decided once
    if (kind === 'postgres') await sql`select pg_advisory_xact_lock(hashtext(${project}))`.execute(query);
    await reclaim(query, kind, project, now);
    const held = await query
      .selectFrom('leases')
      .innerJoin('items', 'items.id', 'leases.item')
      .select(itemColumns.map((column) => `items.${column}` as const))
      .where('leases.project', '=', project)
      .where('leases.person', '=', person)
      .orderBy('leases.expires')
      .orderBy('items.seq')
      .execute();
    const items = held.map(itemOf);
    const missing = count - items.length;
    if (missing > 0) {
      const { given, labels } = await talliesOf(query, project, person);
      const enough = settings.labels !== undefined && labels >= settings.labels;
      for (let i = 0; i < missing && !enough; i++) {
        const place = given + items.length;
        const item =
          (place < settings.practice ? await goldFor(query, project, person, items, true) : undefined) ??
          (isGold(project, person, place, settings.goldShare)
            ? await goldFor(query, project, person, items, false)
            : undefined) ??
          (await openFor(query, project, person));
        if (!item) break;
        await query
          .insertInto('leases')
          .values({ item: item.id, person, project, expires: now + 1000 * settings.leaseSeconds })
          .execute();
        await query
          .updateTable('items')
          .set((set) => ({ taken: set('taken', '+', 1) }))
          .where('id', '=', item.id)
          .execute();
        items.push(item);
      }
    }
    const expires = now + 1000 * settings.leaseSeconds;
    const mine = items.slice(0, count);
    if (mine.length > 0) {
      await query
        .updateTable('leases')
        .set({ expires })
        .where('person', '=', person)
        .where(
          'item',
          'in',
          mine.map(({ id }) => id),
        )
        .execute();
    }
    return mine.map((item) => ({ item, shown: orderFor(item, person), expires }));
  });
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

/** Gives back what was held too long. */
async function reclaim(query: Query, kind: Database['kind'], project: string, now: number): Promise<void> {
  const late = await query
    .selectFrom('leases')
    .select('item')
    .distinct()
    .where('project', '=', project)
    .where('expires', '<=', now)
    .execute();
  if (late.length === 0) return;
  const items = late.map(({ item }) => item);
  // items before their leases, as votes do, so that neither waits for the other
  if (kind === 'postgres') {
    await query.selectFrom('items').select('id').where('id', 'in', items).orderBy('id').forNoKeyUpdate().execute();
  }
  await query.deleteFrom('leases').where('item', 'in', items).where('expires', '<=', now).execute();
  await recount(query, items);
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
  held: readonly Item[],
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
    .$if(held.length > 0, (select) =>
      select.where(
        'id',
        'not in',
        held.map(({ id }) => id),
      ),
    )
    .orderBy('seq')
    .limit(1)
    .executeTakeFirst();
  return row && itemOf(row);
}

async function openFor(query: Query, project: string, person: string): Promise<Item | undefined> {
  const row = await query
    .selectFrom('items')
    .select(itemColumns)
    .where('project', '=', project)
    .where('goldJson', 'is', null)
    .where('closed', '=', 0)
    .whereRef('taken', '<', 'wanted')
    .where(unseenBy(person))
    .orderBy('priority', 'desc')
    .orderBy('seq')
    .limit(1)
    .executeTakeFirst();
  return row && itemOf(row);
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
