/** What a learner by a loss keeps of its course from step to step: plain data, saved with it. */
import { HeedError } from '../../error.ts';

export interface Course {
  /** Losses since the evaluation before. */
  recent: { loss: number; steps: number };
  /** The lowest loss of an evaluation after a step. */
  best: number;
  /** Evaluations since that. */
  worse: number;
}

export const newCourse = (): Course => ({ recent: { loss: 0, steps: 0 }, best: Number.POSITIVE_INFINITY, worse: 0 });

/** The course after a step of this loss, and the mean loss of the steps since the evaluation before. */
export function stepped({ recent, ...course }: Course, loss: number): [course: Course, recentLoss: number] {
  const now = { loss: recent.loss + loss, steps: recent.steps + 1 };
  return [{ ...course, recent: now }, now.loss / now.steps];
}

/** The course after an evaluation, which is told whether it is the best. Without a loss none is. */
export function evaluated({ best, worse }: Course, evaluation: { loss?: number; best: boolean }): Course {
  const { loss = Number.NaN } = evaluation;
  evaluation.best = loss < best;
  return {
    recent: { loss: 0, steps: 0 },
    best: evaluation.best ? loss : best,
    worse: evaluation.best ? 0 : worse + 1,
  };
}

/** Throws a HeedError where a training is to go on with other data than it began with. `what` is plural. */
export function checkSameData(saved: { fingerprint: string }, now: { fingerprint: string }, what: string): void {
  if (saved.fingerprint === now.fingerprint) return;
  throw new HeedError(`the ${what} are not what they were when the training began`, {
    hint: 'put the old files back, or start a new run',
  });
}
