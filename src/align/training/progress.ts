/** The course of a training by its losses: plain data, saved with its checkpoints. */
import { HeedError } from '../../error.ts';

/** The course of a training so far. */
export interface LossHistory {
  /** Sum and number of the losses since the last evaluation. */
  recent: { loss: number; steps: number };
  /** The lowest loss of an evaluation so far. */
  best: number;
  /** Number of evaluations since then. */
  worse: number;
}

/** The course of a training before its first step. */
export const newLossHistory = (): LossHistory => ({
  recent: { loss: 0, steps: 0 },
  best: Number.POSITIVE_INFINITY,
  worse: 0,
});

/** The course after a step with this loss, and the mean loss of the steps since the last evaluation. */
export function stepped({ recent, ...course }: LossHistory, loss: number): [course: LossHistory, recentLoss: number] {
  const now = { loss: recent.loss + loss, steps: recent.steps + 1 };
  return [{ ...course, recent: now }, now.loss / now.steps];
}

/** The course after an evaluation. Sets the evaluation's `best`; without a loss it is false. */
export function evaluated({ best, worse }: LossHistory, evaluation: { loss?: number; best: boolean }): LossHistory {
  const { loss = Number.NaN } = evaluation;
  evaluation.best = loss < best;
  return {
    recent: { loss: 0, steps: 0 },
    best: evaluation.best ? loss : best,
    worse: evaluation.best ? 0 : worse + 1,
  };
}

/** @throws HeedError when a run resumes with other data than it began with. `what` names the data, in the plural. */
export function checkSameData(saved: { fingerprint: string }, now: { fingerprint: string }, what: string): void {
  if (saved.fingerprint === now.fingerprint) return;
  throw new HeedError(`the ${what} are not those that the run began with`, {
    hint: 'Restore the old files, or start a new run.',
  });
}
