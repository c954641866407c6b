/** How the teacher is asked: while the loop waits, beside the loop, or by people who answer when they come to it. */
import { setImmediate as breathe } from 'node:timers/promises';
import { createLateJudgments, type Standing, type Teacher } from '../../preference/index.ts';
import type { LearnOptions } from '../options.ts';
import type { Segment } from '../segments.ts';
import type { TeachingProgress } from './progress.ts';
import { askRound, drawQueries, type QuerySource, type SegmentComparison, type SegmentQuery } from './queries.ts';
import type { ComparisonRecord } from './record.ts';
import { createUnderway } from './underway.ts';

/** What was said since the last look, by a teacher who answers later. */
export interface News {
  comparisons: readonly SegmentComparison[];
  /** What stands now of earlier comparisons that the teacher has changed, by their queries' ids. */
  changed: ReadonlyMap<string, Standing>;
}

/** What asking needs. */
interface QueryingParts {
  teacher: Teacher<Segment>;
  source: QuerySource;
  /** Labels that are due; each call takes them off the schedule. */
  takeDue(): number;
}
type QueryingProgress = Pick<
  TeachingProgress,
  'step' | 'nextRound' | 'owed' | 'questions' | 'labels' | 'fitted' | 'disagreement'
>;

/** A way to ask the teacher. */
export interface Querying {
  /** What a teacher who answers later has said; waits where training is too far ahead. */
  news(signal: AbortSignal | undefined): Promise<News>;
  /** Asks for the labels that are due: how many, and the comparisons that came. */
  ask(news: News, signal: AbortSignal | undefined): Promise<{ due: number; comparisons: readonly SegmentComparison[] }>;
  /** Queries without a judgment; undefined where the teacher does not answer later. */
  readonly open: readonly SegmentQuery[] | undefined;
  /** How many of them nobody has answered. */
  readonly waiting: number | undefined;
  /** What a checkpoint says, so that a resumed run asks a round under way again. */
  save(): Pick<TeachingProgress, 'nextRound'>;
  /** Drops what is under way, and asks these instead. */
  restore(open: readonly SegmentQuery[]): void;
  [Symbol.dispose](): void;
}

const nothing: News = { comparisons: [], changed: new Map() };

/** Asks while the loop waits. */
export function createQueryingHere(progress: QueryingProgress, { teacher, source, takeDue }: QueryingParts): Querying {
  return {
    news: async () => nothing,
    async ask(_, signal) {
      const due = takeDue();
      return { due, comparisons: due > 0 ? await askRound(teacher, source, progress, due, signal) : [] };
    },
    open: undefined,
    waiting: undefined,
    save: () => ({ nextRound: progress.nextRound }),
    restore() {},
    [Symbol.dispose]() {},
  };
}

/**
 * Asks one round at a time while the loop goes on. The loop waits before the first fit, at the end of the run, and once
 * it is the share `ahead` of the steps beyond the round under way.
 */
export function createQueryingBeside(
  progress: QueryingProgress,
  { teacher, source, takeDue, ahead, steps }: QueryingParts & { ahead: number; steps: number },
): Querying {
  const stopping = new AbortController();
  const underway = createUnderway<SegmentComparison[]>();
  /** The first round of those under way. */
  let firstRound = 0;
  return {
    news: async () => nothing,
    async ask(_, signal) {
      let due = 0;
      if (underway.since === undefined) {
        firstRound = progress.nextRound;
        due = takeDue();
        if (due > 0) underway.begin(progress.step, askRound(teacher, source, progress, due, stopping.signal));
      }
      await breathe(); // a teacher who need not think has answered
      const gone = progress.step - (underway.since ?? progress.step);
      const wait = !progress.fitted || gone > ahead * steps || progress.step >= steps;
      return { due, comparisons: (await underway.take(wait, signal)) ?? [] };
    },
    open: undefined,
    waiting: undefined,
    save: () => ({ nextRound: underway.since === undefined ? progress.nextRound : firstRound }),
    restore: underway.forget,
    [Symbol.dispose]: () => stopping.abort(),
  };
}

/** Puts queries to people and takes their judgments as they come. */
export function createQueryingLater(
  progress: QueryingProgress,
  parts: QueryingParts &
    Pick<LearnOptions, 'labels' | 'steps' | 'people'> & { record: Pick<ComparisonRecord, 'standings'> },
): Querying {
  const { teacher, source, takeDue, record, labels, steps, people } = parts;
  const draw = (count: number) => drawQueries(source, progress, count);
  const listen = () =>
    createLateJudgments<SegmentQuery, Segment>(teacher, {
      labels,
      steps,
      people,
      optionsOf: ({ segments }) => segments,
      others: draw,
    });
  let late = listen();
  return {
    async news(signal) {
      return late.news(progress, record.standings(), signal);
    },
    async ask({ comparisons }) {
      const due = takeDue();
      if (due > 0) late.ask(draw(due));
      return { due, comparisons };
    },
    get open() {
      return late.open;
    },
    get waiting() {
      return late.waiting;
    },
    save: () => ({ nextRound: progress.nextRound }),
    restore(open) {
      late.stop();
      late = listen();
      late.ask(open);
    },
    [Symbol.dispose]: () => late.stop(),
  };
}
