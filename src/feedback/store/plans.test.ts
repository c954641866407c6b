/** What is asked at every step finds its rows by an index, however many there are. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompiledQuery, type KyselyPlugin, sql } from 'kysely';
import { afterAll, describe, expect, it } from 'vitest';
import { sharedPostgres } from '../../../test/support/postgres.ts';
import {
  addPerson,
  annotatorWork,
  assignItems,
  countedJudgments,
  coverageOf,
  createProject,
  type Database,
  listItems,
  openDatabase,
  recordJudgment,
  undoJudgment,
} from '../index.ts';

const postgres = await sharedPostgres();
const folder = mkdtempSync(join(tmpdir(), 'heed-plans-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ITEMS = 20_000;

/** Items, all of them answered by a person, and only the last ten still open. */
async function fill({ query, kind }: Database, project: string, person: string): Promise<void> {
  const numbers =
    kind === 'postgres'
      ? sql`(select n from generate_series(1, ${sql.lit(ITEMS)}) n) numbers`
      : sql`(with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ${sql.lit(ITEMS)}) select n from numbers) numbers`;
  const done = sql`case when n <= ${sql.lit(ITEMS - 10)} then 2 else 0 end`;
  const id = sql`'item ' || cast(n as text)`;
  await sql`insert into items (id, project, key, "contentJson", practice, priority, taken, answered, wanted, closed, created)
    select ${id}, ${project}, cast(n as text), '{"options":[{"kind":"text","text":"a"},{"kind":"text","text":"b"}]}', 0, 0, ${done}, ${done}, 2, 0, 0
    from ${numbers}`.execute(query);
  await sql`insert into judgments (id, project, item, person, kind, "judgmentJson", guidelines, created)
    select cast(n as text), ${project}, ${id}, ${person}, 'judgment', '{}', 1, 0 from ${numbers}`.execute(query);
  await sql`insert into latest (item, person, project, judgment, kind, "judgmentJson", created)
    select ${id}, ${person}, ${project}, n, 'judgment', '{}', 0 from ${numbers}`.execute(query);
  await sql`analyze`.execute(query);
}

const steps = (plan: readonly object[]) => plan.map((row) => String(Object.values(row).at(-1)));

describe.each(['SQLite', 'PostgreSQL'])('%s', (kind) => {
  it.skipIf(kind === 'PostgreSQL' && !postgres)(`at ${ITEMS} items, with a label budget (needs ${kind})`, async () => {
    const database = await openDatabase(kind === 'SQLite' ? join(folder, 'plans.db') : await postgres!.database());
    const [ada, ben] = await Promise.all(['ada', 'ben'].map((name) => addPerson(database, name)));
    const settings = { overlap: 2, goldShare: 0.5, practice: 1, labels: 10 * ITEMS };
    const project = await createProject(database, 'P', settings);
    await fill(database, project.id, ada.person.id);

    const queries: CompiledQuery[] = [];
    const spy: KyselyPlugin = {
      transformQuery({ node, queryId }) {
        queries.push(database.query.getExecutor().compileQuery(node, queryId));
        return node;
      },
      transformResult: async ({ result }) => result,
    };
    const spied = { ...database, query: database.query.withPlugin(spy) };
    const person = ben.person.id;
    await assignItems(spied, project, person, { now: 1000 });
    const [{ item }] = await assignItems(spied, project, person, { now: 1e9 }); // the lease was over
    expect(item.id).toBe(`item ${ITEMS - 9}`);
    await recordJudgment(spied, project, person, { id: 'v', item: item.id, judgment: { kind: 'pair', choice: 'tie' } });
    await undoJudgment(spied, project, person, { id: 'u', item: item.id });

    if (kind === 'SQLite') {
      // a part of so few items may well be a scan to PostgreSQL
      expect(await countedJudgments(spied, project.id)).toHaveLength(ITEMS);
      expect(await listItems(spied, project, { offset: ITEMS - 1 })).toMatchObject({ total: ITEMS, items: [{}] });
      expect((await annotatorWork(spied, project)).map(({ judgments }) => judgments)).toEqual([ITEMS, 0]);
      expect((await coverageOf(spied, project))[0].rows).toMatchObject([{ items: ITEMS }]);
    }

    const explain = kind === 'SQLite' ? 'explain query plan' : 'explain';
    const slow: string[] = [];
    for (const { sql: text, parameters } of queries) {
      if (!/^(with|select|update|delete)/.test(text) || text.includes('pg_advisory')) continue;
      const { rows } = await database.query.executeQuery<object>(
        CompiledQuery.raw(`${explain} ${text}`, [...parameters]),
      );
      const plan = steps(rows);
      const scans = plan.filter((step) => /(^SCAN|Seq Scan on) (items|judgments|answers)\b/.test(step));
      // of the queue the first is taken, none sorted
      const sorts = /"priority" desc/.test(text) ? plan.filter((step) => /TEMP B-TREE|Sort/.test(step)) : [];
      const joins = /^with "first"/.test(text) ? plan.filter((step) => /Anti Join/.test(step)) : [];
      if (scans.length + sorts.length + joins.length > 0) slow.push(`${text}\n${plan.join('\n')}`);
    }
    expect(queries.length).toBeGreaterThan(20);
    expect(slow).toEqual([]);
    await database.close();
  });
});
