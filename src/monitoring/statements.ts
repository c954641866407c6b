/** What is observed of each statement to a database: counts, and a span within the request that needs it. */
import type { Logger } from 'kysely';
import { addSpan, isTraced } from './traces.ts';

/** Statements of a database since it was opened. */
export interface StatementCounts {
  /** All of them. */
  readonly total: number;
  /** The ones that the database refused, or could not do. */
  readonly failed: number;
}

/** Characters of a statement in a span. */
const LONGEST = 2000;

/** Counts the statements that `log`, an option of Kysely, is told of. Their values stay out of spans. */
export function observeStatements(system: 'sqlite' | 'postgresql'): { counts: StatementCounts; log: Logger } {
  const counts = { total: 0, failed: 0 };
  return {
    counts,
    log(event) {
      counts.total++;
      if (event.level === 'error') counts.failed++;
      if (!isTraced()) return;
      const { sql } = event.query;
      const end = Date.now();
      addSpan(/^\s*(\w+)/.exec(sql)?.[1].toUpperCase() ?? 'statement', {
        kind: 'CLIENT',
        attributes: { 'db.system.name': system, 'db.query.text': sql.slice(0, LONGEST) },
        start: end - event.queryDurationMillis,
        end,
        error: event.level === 'error' ? event.error : undefined,
      });
    },
  };
}
