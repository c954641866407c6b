/** What a project's answers are worth, as the studio tells it; of many answers this takes a while, in which the server goes on. */
import { Worker } from 'node:worker_threads';
import { findProject } from '../project.ts';
import type { Database } from '../store/database.ts';
import { type Balance, balanceOf, givenAnswers, type PersonQuality, type Quality, qualityOf } from './quality.ts';

/** As JSON has it: a number that is none is null. */
export interface QualityReport extends Omit<Quality, 'consensus' | 'people'> {
  /** When it was begun, in milliseconds since 1970: what was said later is not in it. */
  at: number;
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
  const at = Date.now();
  const { consensus, disagreements, ...quality } = qualityOf(await givenAnswers(database, projectId));
  const named = await database.query.selectFrom('people').select(['id', 'name']).execute();
  const names = new Map(named.map(({ id, name }) => [id, name]));
  return {
    at,
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

interface Reports {
  /**
   * What is known of a project. All that was said and done in it when this is called is in it where finding that out is quick; else the last
   * report is given while a newer one is being made.
   */
  of(project: string): Promise<QualityReport>;
}

/** Milliseconds to a report that people wait for each time. */
const QUICK = 1000;
/** A report that takes longer is made again after so many times what it took: a tenth of a core at most. */
const RARELY = 10;

/** What takes long is found out once for all who ask, one time after another, and only where something was said or done in the project. */
export function createReports(
  database: Database,
  { find = reportBeside, now = () => performance.now() }: { find?: typeof reportBeside; now?: () => number } = {},
): Reports {
  interface Known {
    /** The last vote and the last event when it was begun. */
    upTo: readonly number[];
    report: Promise<QualityReport>;
    /** Of what is over: when it was, and what it took. */
    done?: { at: number; took: number };
  }
  interface Kept {
    last?: Known;
    running?: Known;
  }
  const kept = new Map<string, Kept>();
  const last = async (table: 'votes' | 'events', project: string) => {
    const { seq } = await database.query
      .selectFrom(table)
      .select((select) => select.fn.max('seq').as('seq'))
      .where('project', '=', project)
      .executeTakeFirstOrThrow();
    return seq ?? 0;
  };
  function begin(project: string, of: Kept, upTo: readonly number[]): Known {
    const from = now();
    const begun: Known = { upTo, report: find(database, project) };
    of.running = begun;
    begun.report.then(
      () => {
        begun.done = { at: now(), took: now() - from };
        of.last = begun;
        of.running = undefined;
      },
      () => {
        of.running = undefined;
      },
    );
    return begun;
  }
  return {
    async of(project) {
      const asked = [await last('votes', project), await last('events', project)];
      const covers = (one: Known | undefined) => one?.upTo.every((seq, i) => seq >= asked[i]);
      const of = kept.get(project) ?? {};
      kept.set(project, of);
      for (;;) {
        if (covers(of.last)) return of.last!.report;
        if (of.last && of.last.done!.took > QUICK) {
          const { at, took } = of.last.done!;
          if (!of.running && now() - at >= RARELY * took) begin(project, of, asked);
          return of.last.report;
        }
        if (!of.running || covers(of.running)) return (of.running ?? begin(project, of, asked)).report;
        await of.running.report.catch(() => {});
      }
    },
  };
}
