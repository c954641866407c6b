/** How many labels are due. */
import type { Round } from '../../preference/schedule.ts';
import type { TeachingProgress } from './progress.ts';

/** When labels are due. */
interface Timetable {
  rounds: readonly Round[];
  /** Environment step of the first query. */
  begin: number;
  /** Environment steps of a rollout: a loop takes no fewer at a time. */
  stride: number;
  /** Environment steps of the run. */
  steps: number;
  /** Updates between attempts to make up for queries that the teacher skipped in the last round. */
  renormalize: number;
}

/**
 * Labels to request now, including those owed from earlier rounds, and the next round. After the last round, owed
 * labels are requested whenever the reward is renormalized. Before the last rollout, all that remain are due: what comes
 * after it teaches nobody.
 */
export function dueLabels(
  { step, nextRound, owed, updates }: Pick<TeachingProgress, 'step' | 'nextRound' | 'owed' | 'updates'>,
  { rounds, begin, stride, steps, renormalize }: Timetable,
): { labels: number; nextRound: number } {
  if (step < begin) return { labels: 0, nextRound };
  const reached = step + stride < steps ? step : steps;
  let labels = 0;
  let next = nextRound;
  for (; rounds[next]?.atStep <= reached; next++) labels += rounds[next].labels;
  const again = next === rounds.length && updates % renormalize === 0;
  return { labels: labels > 0 || again ? labels + owed : 0, nextRound: next };
}
