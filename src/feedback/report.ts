/** What a project's answers are worth, as the studio tells it; of many answers this takes a while, in which the server goes on. */
import { Worker } from 'node:worker_threads';
import type { Database } from './database.ts';
import { findProject } from './project.ts';
import { type Balance, balanceOf, givenAnswers, type PersonQuality, type Quality, qualityOf } from './quality.ts';

/** As JSON has it: a number that is none is null. */
export interface QualityReport extends Omit<Quality, 'consensus' | 'people'> {
  people: (PersonQuality & { name: string })[];
  /** Of the disagreements those that are the least clear. */
  disagreements: Quality['disagreements'];
  /** Disagreements there are. */
  undecided: number;
  /** Items with a consensus. */
  judged: number;
  balance: Balance[];
}

/** Disagreements that a report names. */
const NAMED = 1000;

export async function reportOf(database: Database, projectId: string): Promise<QualityReport> {
  const { consensus, disagreements, ...quality } = qualityOf(await givenAnswers(database, projectId));
  const named = await database.query.selectFrom('people').select(['id', 'name']).execute();
  const names = new Map(named.map(({ id, name }) => [id, name]));
  return {
    ...quality,
    people: quality.people.map((one) => ({ ...one, name: names.get(one.person)! })),
    disagreements: disagreements.slice(0, NAMED),
    undecided: disagreements.length,
    judged: consensus.size,
    balance: await balanceOf(database, await findProject(database, projectId)),
  };
}

/** In a thread with a connection of its own, where there can be one. */
function reportBeside(database: Database, project: string): Promise<QualityReport> {
  // nobody else can open what is in memory alone, and no thread of Node 20 reads TypeScript
  if (database.address === ':memory:' || import.meta.url.endsWith('.ts')) return reportOf(database, project);
  return new Promise((resolve, reject) => {
    const workerData = { address: database.address, project };
    const worker = new Worker(new URL('./report-worker.js', import.meta.url), { workerData });
    worker.unref();
    worker.once('message', resolve);
    worker.once('error', reject);
    // nothing is heard of this where the report came before it
    worker.once('exit', (code) => reject(new Error(`internal: the report's thread ended with ${code}`)));
  });
}

export interface Reports {
  /** All that was said and done in the project when this is called is in it. */
  of(project: string): Promise<QualityReport>;
}

/** What takes long is found out once for all who ask, one time after another, until something is said or done in the project. */
export function createReports(database: Database): Reports {
  interface Known {
    /** The last vote and the last event when it was begun. */
    at: readonly number[];
    report: Promise<QualityReport>;
    done: boolean;
  }
  const known = new Map<string, Known>();
  const last = async (table: 'votes' | 'events', project: string) => {
    const { seq } = await database.query
      .selectFrom(table)
      .select((select) => select.fn.max('seq').as('seq'))
      .where('project', '=', project)
      .executeTakeFirstOrThrow();
    return seq ?? 0;
  };
  return {
    async of(project) {
      const asked = [await last('votes', project), await last('events', project)];
      for (let before = known.get(project); ; before = known.get(project)) {
        if (before?.at.every((seq, i) => seq >= asked[i])) return before.report;
        if (!before || before.done) break;
        await before.report.catch(() => {});
      }
      const begun: Known = { at: asked, report: reportBeside(database, project), done: false };
      known.set(project, begun);
      begun.report.then(
        () => {
          begun.done = true;
        },
        () => known.delete(project),
      );
      return begun.report;
    },
  };
}
