/** How far a run is with its teaching: plain data, which a checkpoint holds as it is. */

/** What the parts of the loop read and take further. The field names are those of checkpoints. */
export interface TeachingProgress {
  /** Environment steps so far. */
  step: number;
  /** Updates of the policy so far. */
  updates: number;
  /** Index of the first round of queries that was not asked yet. */
  nextRound: number;
  /** Labels that rounds asked for and the teacher skipped; the next round asks for them again. */
  owed: number;
  /** Queries drawn so far; the next one's id is `q` and this number. */
  questions: number;
  /** Comparisons that count: those that were taken back do not. */
  labels: number;
  /** Of the teacher's decided choices: how many the ensemble predicted before it learned of them. */
  predictions: { right: number; decided: number };
  /** Whether the ensemble has learned from any comparison. */
  fitted: boolean;
  /** Whether a comparison was taken back or changed since the last fit. */
  anew: boolean;
  /** `updates` when the first comparison came that no fit has begun with; null where there is none. */
  unlearned: number | null;
  /** Mean variance over members of the probability of the first, over the last queries. */
  disagreement: number;
}

/** The progress of a run that has not begun. */
export const newProgress = (): TeachingProgress => ({
  step: 0,
  updates: 0,
  nextRound: 0,
  owed: 0,
  questions: 0,
  labels: 0,
  predictions: { right: 0, decided: 0 },
  fitted: false,
  anew: false,
  unlearned: null,
  disagreement: 0,
});
