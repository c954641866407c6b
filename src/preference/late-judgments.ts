/**
 * Queries to a teacher who answers later, as people do. Training continues with the current reward and learns from
 * judgments as they arrive (Christiano et al. 2017, §2.2). It waits only for the first judgments, and when it would run
 * far ahead of a teacher who is still present.
 */
import { z } from 'zod';
import { HeedError } from '../error.ts';
import type { PairJudgment } from './comparison.ts';
import { askTeacher, type CurrentJudgment, type Query, type Teacher } from './teacher.ts';

/** Options of runs that people judge. */
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
  goal: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .describe('what to teach, in one sentence that is shown above every query (default: by the environment)'),
  guidelines: z.string().describe('instructions shown to annotators'),
});

/** A query that was sent to the teacher. */
interface LateQuery {
  readonly id: string;
  /** The training's step when it was sent. */
  readonly step: number;
}

/** The training's progress. */
interface LateProgress {
  step: number;
  /** Comparisons learned so far. */
  labels: number;
  /** Whether there is a reward to continue with. */
  fitted: boolean;
}

/** The judgments since the last call. */
export interface JudgmentNews<Q> {
  /** New comparisons, in the order of their queries. */
  comparisons: readonly (Q & { choice: PairJudgment })[];
  /** Earlier comparisons that the teacher has changed: their current judgments, by query id. */
  changed: ReadonlyMap<string, CurrentJudgment>;
}

/** Open queries to a teacher who answers later. */
export interface LateJudgments<Q extends LateQuery> {
  /** Number of queries without a judgment. */
  readonly waiting: number;
  /** Queries that nothing was learned from yet, with or without a judgment: a resumed run sends them again. */
  readonly open: readonly Q[];
  /** Sends queries to the teacher. */
  ask(queries: readonly Q[]): void;
  /**
   * The judgments since the last call; skipped queries are replaced by others. `standings` holds the current judgments
   * of earlier comparisons. Rejects with the signal's reason; the judgments are then returned by the next call.
   *
   * @throws HeedError if all labels are in and none says which option is better; or the teacher's error.
   */
  news(
    progress: LateProgress,
    standings: ReadonlyMap<string, CurrentJudgment>,
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
  /** Steps that a training takes at once: it waits before those that lead too far ahead. Default: 0. */
  stride?: number;
  people: Pick<z.output<typeof peopleSchema>, 'patience' | 'ahead'>;
  /** The two options of a query. */
  optionsOf(query: Q): Query<Option>['options'];
  /** Draws queries to replace skipped ones. */
  others(count: number): readonly Q[];
}

/** Judgments to wait for before the first fit, if the first round has as many. */
const FIRST_JUDGMENTS = 10;
/** The longest delay of a timer, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** Starts with no open queries. */
export function createLateJudgments<Q extends LateQuery, Option>(
  teacher: Teacher<Option>,
  { labels, steps, stride = 0, people, optionsOf, others }: LateOptions<Q, Option>,
): LateJudgments<Q> {
  const stopping = new AbortController();
  const open = new Map<string, { query: Q; choice?: PairJudgment | 'skip' }>();
  let failed: { error: unknown } | undefined;
  /** Whether the teacher is present: not after `patience` without a judgment, until the next one. */
  let present = true;
  const { ring, wait } = createBell();

  function judge(id: string, choice: PairJudgment | 'skip'): void {
    const item = open.get(id);
    if (!item || item.choice) return;
    item.choice = choice;
    ring();
  }

  const noting = notingSkips(teacher, (id) => judge(id, 'skip'));

  async function listen(queries: readonly Q[]): Promise<void> {
    const sent = queries.map((query) => ({ id: query.id, options: optionsOf(query) }));
    try {
      for await (const { id, choice } of askTeacher(noting, sent, stopping.signal)) judge(id, choice);
      // the teacher has no judgment of the others
      if (!stopping.signal.aborted) for (const { id } of queries) judge(id, 'skip');
    } catch (error) {
      failed = { error };
      ring();
    }
  }

  function send(queries: readonly Q[]): void {
    for (const query of queries) open.set(query.id, { query });
    if (queries.length > 0) void listen(queries);
  }

  const comparisonsOf = (): (Q & { choice: PairJudgment })[] =>
    [...open.values()].flatMap(({ query, choice }) =>
      choice === undefined || choice === 'skip' ? [] : [{ ...query, choice }],
    );
  const waiting = () => [...open.values()].filter(({ choice }) => choice === undefined);

  function takeSkipped(): number {
    const skipped = [...open].filter(([, { choice }]) => choice === 'skip');
    for (const [id] of skipped) open.delete(id);
    return skipped.length;
  }

  /** All open comparisons, once there are enough to continue. */
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
        oldest &&
        (progress.fitted ? progress.step + stride - oldest.step > people.ahead * steps : count < FIRST_JUDGMENTS);
      if (!oldest && !decided && labels > 0 && progress.labels + count >= labels) throw nothingToLearnFrom(labels);
      // without a first judgment there is no reward to continue with
      if (!oldest || (decided && !(due && present))) return comparisons;
      teacher.onWait?.(true);
      try {
        await wait(decided ? left : Number.POSITIVE_INFINITY, signal);
      } finally {
        teacher.onWait?.(false);
      }
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
      const changed = (all.size > 0 && (await teacher.changed?.(all))) || new Map<string, CurrentJudgment>();
      for (const { id } of comparisons) open.delete(id);
      return { comparisons, changed };
    },
    stop: () => stopping.abort(),
  };
}

/** A bell that ends a wait, also one that begins after it rang. */
function createBell() {
  let wake = () => {};
  let rang = false;
  return {
    ring() {
      rang = true;
      wake();
    },
    /** Waits until it rings, or `seconds` have passed. Rejects with the signal's reason. */
    async wait(seconds: number, signal: AbortSignal | undefined): Promise<void> {
      signal?.throwIfAborted();
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (rang) return resolve();
        timer = setTimeout(wake, Math.min(1000 * seconds, LONGEST));
        signal?.addEventListener('abort', wake);
      });
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      rang = false;
      signal?.throwIfAborted();
    },
  };
}

/** The teacher, with a call for each query that it skips: `askTeacher` drops them. */
const notingSkips = <Option>(teacher: Teacher<Option>, skipped: (id: string) => void): Teacher<Option> => ({
  name: teacher.name,
  async *answer(queries, signal) {
    for await (const judgment of teacher.answer(queries, signal)) {
      if (judgment.choice === 'skip') skipped(judgment.id);
      yield judgment;
    }
  },
});

const nothingToLearnFrom = (labels: number) =>
  new HeedError(`none of the ${labels} judgments says which option is better, so there is nothing to learn from`, {
    hint: 'start again, and choose the clip or response that is closer to the goal',
  });
