/** Deletes a person and what they said, for those who ask to be forgotten. */
import { recount } from './items/assignment.ts';
import { note } from './store/audit.ts';
import { atOnce, type Database } from './store/database.ts';

/** Items of one statement: databases limit its values. */
const AT_ONCE = 500;

/**
 * Deletes the person with a name and all their judgments, as if they had never been there. The audit trail keeps that
 * somebody was deleted, without the name. Returns how many judgments they had; 0 if there is no such person.
 */
export const forgetPerson = ({ query: root }: Pick<Database, 'query'>, name: string): Promise<number> =>
  atOnce(root, async (query) => {
    const person = await query.selectFrom('people').select('id').where('name', '=', name).executeTakeFirst();
    if (!person) return 0;
    const { id } = person;
    const held = await query.selectFrom('votes').select('item').distinct().where('person', '=', id).execute();
    const leased = await query.selectFrom('leases').select('item').where('person', '=', id).execute();
    await query.updateTable('items').set({ decidedBy: null, decision: null }).where('decidedBy', '=', id).execute();
    const { numDeletedRows } = await query.deleteFrom('answers').where('person', '=', id).executeTakeFirstOrThrow();
    for (const table of [
      'comments',
      'reserved',
      'leases',
      'votes',
      'tallies',
      'estimates',
      'members',
      'sessions',
      'turns',
    ] as const) {
      await query.deleteFrom(table).where('person', '=', id).execute();
    }
    const items = [...new Set([...held, ...leased].map(({ item }) => item))];
    for (let from = 0; from < items.length; from += AT_ONCE) await recount(query, items.slice(from, from + AT_ONCE));
    await query.deleteFrom('events').where('person', '=', id).execute();
    await query
      .deleteFrom('events')
      .where('kind', '=', 'person added')
      .where('detailJson', 'like', `%${JSON.stringify(name)}%`)
      .execute();
    await query.deleteFrom('people').where('id', '=', id).execute();
    await note(query, { kind: 'person deleted', detail: { judgments: Number(numDeletedRows) } });
    return Number(numDeletedRows);
  });
