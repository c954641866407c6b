/** The record of comparisons: judgments, later changes, and what a fit may learn from. */
import type { CurrentJudgment } from '../../preference/teacher.ts';
import type { FitComparison } from '../reward/fit.ts';
import { withoutEpisode } from '../segments.ts';
import type { RecordedComparison } from './comparisons.ts';
import type { TeachingProgress } from './progress.ts';
import type { SegmentComparison } from './queries.ts';

/** The comparisons of a run. */
export interface ComparisonRecord {
  /** All comparisons, in the order they came: first those of earlier runs. */
  readonly all: readonly RecordedComparison[];
  /** The comparisons that this run's teacher made. */
  readonly own: readonly RecordedComparison[];
  /** The current judgment of each that this run's teacher made, by query id. */
  standings(): Map<string, CurrentJudgment>;
  /** Adds comparisons, and updates those that the teacher has changed. */
  add(comparisons: readonly SegmentComparison[], changed: ReadonlyMap<string, CurrentJudgment>): void;
  /** Comparisons that say which segment is better, or that both are equal. */
  usable(): FitComparison[];
  /** Replaces all comparisons. */
  replace(comparisons: readonly RecordedComparison[]): void;
}

/** A record of the comparisons of earlier runs. It keeps `labels`, `predictions`, `anew` and `unlearned` of the progress up to date. */
export function createRecord(
  progress: Pick<TeachingProgress, 'updates' | 'labels' | 'predictions' | 'anew' | 'unlearned'>,
  earlier: readonly FitComparison[] = [],
): ComparisonRecord {
  let all = earlier.map((one, i): RecordedComparison => ({ id: `earlier ${i}`, ...one, earlier: true }));
  const ofThisRun = () => all.filter((one) => !one.earlier);
  return {
    get all() {
      return all;
    },
    get own() {
      return ofThisRun();
    },
    standings: () => new Map(ofThisRun().map(({ id, choice }) => [id, choice])),
    add(comparisons, changed) {
      if (comparisons.length + changed.size === 0) return;
      progress.unlearned ??= progress.updates;
      for (const { id, segments, choice, predicted } of comparisons) {
        all.push({ id, segments: [withoutEpisode(segments[0]), withoutEpisode(segments[1])], choice });
        if (choice === 'incomparable' || choice[0] === choice[1] || Number.isNaN(predicted)) continue;
        progress.predictions.decided++;
        if (predicted !== 0.5 && predicted > 0.5 === choice[0] > choice[1]) progress.predictions.right++;
      }
      if (changed.size > 0) {
        all = all.map((one) => ({ ...one, choice: changed.get(one.id) ?? one.choice }));
        progress.anew = true;
      }
      progress.labels = ofThisRun().filter(({ choice }) => choice !== 'taken back').length;
    },
    usable: () => all.filter((one): one is RecordedComparison & FitComparison => typeof one.choice !== 'string'),
    replace(comparisons) {
      all = [...comparisons];
    },
  };
}
