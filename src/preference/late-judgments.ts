/**
 * Queries to a teacher who answers later, as people do. Training goes on meanwhile with the present reward, and learns
 * from judgments as they come (Christiano et al. 2017, §2.2). It waits only for the first judgments, and where it would
 * run far ahead of a teacher who is still there.
 */
import { z } from 'zod';
import { HeedError } from '../error.ts';
import type { Choice } from './comparison.ts';
import { askTeacher, type Query, type Standing, type Teacher } from './teacher.ts';

/** Options of a run that people judge. */
export const peopleSchema = z.object({
  patience: z
    .number()
    .min(0)
    .default(300)
    .describe('seconds without a judgment after which training continues without waiting'),
  ahead: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe('share of the steps that training may run ahead of an open query before it waits'),
  store: z
    .string()
    .optional()
    .describe("file of the store, or a postgres:// address (default: feedback.db in the run's folder)"),
  project: z.string().optional().describe('name of the project the queries go to (default: what is trained)'),
  guidelines: z.string().describe('instructions shown to annotators'),
});

/** A query that was sent to the teacher. */
interface LateQuery {
  readonly id: string;
  /** The training's step when it was sent. */
  readonly step: number;
}

/** How far a training is. */
interface LateProgress {
  step: number;
  /** Comparisons learned so far. */
  labels: number;
  /** Whether there is a reward to go on with. */
  fitted: boolean;
}

/** What the teacher said since the last look. */
export interface JudgmentNews<Q> {
  /** New comparisons, in the order of their queries. */
  comparisons: readonly (Q & { choice: Choice })[];
  /** Earlier comparisons that the teacher has changed, by their queries' ids, and what stands now. */
  changed: ReadonlyMap<string, Standing>;
}

/** Queries that are open at a teacher who answers later. */
export interface LateJudgments<Q extends LateQuery> {
  /** How many queries have no judgment. */
  readonly waiting: number;
  /** Queries that nothing was learned from yet, judged or not: a resumed run sends them again. */
  readonly open: readonly Q[];
  /** Sends queries to the teacher. */
  ask(queries: readonly Q[]): void;
  /**
   * What the teacher said since the last call; skipped queries are replaced by others. `learned` is what stands of
   * earlier comparisons. Rejects with the signal's reason, and then keeps what was said for the next call.
   *
   * @throws HeedError if all labels are in and none says which option is better; what the teacher threw.
   */
  news(
    progress: LateProgress,
    standings: ReadonlyMap<string, Standing>,
    signal?: AbortSignal,
  ): Promise<JudgmentNews<Q>>;
  /** Stops listening to the teacher. */
  stop(): void;
}

/** Options of `createLateJudgments`. */
interface LateOptions<Q, Option> {
  /** Comparisons of the whole training. */
  labels: number;
  /** Steps of the whole training. */
  steps: number;
  people: Pick<z.output<typeof peopleSchema>, 'patience' | 'ahead'>;
  /** The two options of a query. */
  optionsOf(query: Q): Query<Option>['options'];
  /** Draws so many queries in place of skipped ones. */
  others(count: number): readonly Q[];
}

/** Judgments to wait for before the first fit, if the first round asks for as many. */
const FIRST_JUDGMENTS = 10;
/** The longest that a timer waits, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** Starts with no open queries. */
export function createLateJudgments<Q extends LateQuery, Option>(
  teacher: Teacher<Option>,
  { labels, steps, people, optionsOf, others }: LateOptions<Q, Option>,
): LateJudgments<Q> {
  const stopping = new AbortController();
  const open = new Map<string, { query: Q; choice?: Choice | 'skip' }>();
  let failed: { error: unknown } | undefined;
  /** Whether the teacher is there: not after `patience` without a judgment, until they say something again. */
  let present = true;
  let wake = () => {};
  let unread = false;

  function notify(): void {
    unread = true;
    wake();
  }

  function judge(id: string, choice: Choice | 'skip'): void {
    const item = open.get(id);
    if (!item || item.choice) return;
    item.choice = choice;
    notify();
  }

  /** The teacher, whose skips are noted too: `askTeacher` passes over them. */
  const noting: Teacher<Option> = {
    name: teacher.name,
    async *answer(queries, signal) {
      for await (const judgment of teacher.answer(queries, signal)) {
        if (judgment.choice === 'skip') judge(judgment.id, 'skip');
        yield judgment;
      }
    },
  };

  async function listen(queries: readonly Q[]): Promise<void> {
    const sent = queries.map((query) => ({ id: query.id, options: optionsOf(query) }));
    try {
      for await (const { id, choice } of askTeacher(noting, sent, stopping.signal)) judge(id, choice);
      // the teacher has nothing to say about the others
      if (!stopping.signal.aborted) for (const { id } of queries) judge(id, 'skip');
    } catch (error) {
      failed = { error };
      notify();
    }
  }

  function send(queries: readonly Q[]): void {
    for (const query of queries) open.set(query.id, { query });
    if (queries.length > 0) void listen(queries);
  }

  const comparisonsOf = (): (Q & { choice: Choice })[] =>
    [...open.values()].flatMap(({ query, choice }) =>
      choice === undefined || choice === 'skip' ? [] : [{ ...query, choice }],
    );
  const waiting = () => [...open.values()].filter(({ choice }) => choice === undefined);

  function takeSkipped(): number {
    const skipped = [...open].filter(([, { choice }]) => choice === 'skip');
    for (const [id] of skipped) open.delete(id);
    return skipped.length;
  }

  /** Waits until the teacher says something, or so many seconds have passed. */
  async function wait(seconds: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (unread) return resolve();
      timer = setTimeout(wake, Math.min(1000 * seconds, LONGEST));
      signal?.addEventListener('abort', wake);
    });
    clearTimeout(timer);
    signal?.removeEventListener('abort', wake);
    unread = false;
    signal?.throwIfAborted();
  }

  /** All open comparisons, once there are enough to go on with. */
  async function enough(progress: LateProgress, signal: AbortSignal | undefined) {
    let since = performance.now();
    for (let count = 0; ; ) {
      if (failed) throw failed.error;
      const skipped = takeSkipped();
      if (skipped > 0) send(others(skipped));
      const comparisons = comparisonsOf();
      if (comparisons.length + skipped > count) {
        since = performance.now();
        present = true;
      }
      count = comparisons.length;
      const oldest = waiting()[0]?.query;
      const decided = progress.fitted || comparisons.some(({ choice }) => choice !== 'incomparable');
      const left = people.patience - (performance.now() - since) / 1000;
      if (left <= 0) present = false;
      const due =
        oldest && (progress.fitted ? progress.step - oldest.step > people.ahead * steps : count < FIRST_JUDGMENTS);
      if (!oldest && !decided && labels > 0 && progress.labels + count >= labels) throw nothingToLearnFrom(labels);
      // without a first judgment there is no reward to go on with
      if (!oldest || (decided && !(due && present))) return comparisons;
      await wait(decided ? left : Number.POSITIVE_INFINITY, signal);
    }
  }

  return {
    get waiting() {
      return waiting().length;
    },
    get open() {
      return [...open.values()].map(({ query }) => query);
    },
    ask: send,
    async news(progress, standings, signal) {
      const comparisons = await enough(progress, signal);
      const all = new Map([...standings, ...comparisons.map(({ id, choice }) => [id, choice] as const)]);
      const changed = (all.size > 0 && (await teacher.changed?.(all))) || new Map<string, Standing>();
      for (const { id } of comparisons) open.delete(id);
      return { comparisons, changed };
    },
    stop: () => stopping.abort(),
  };
}

const nothingToLearnFrom = (labels: number) =>
  new HeedError(`none of the ${labels} judgments says which option is better, so there is nothing to learn from`, {
    hint: 'start again, and choose the one that is more like what is to be learned',
  });
