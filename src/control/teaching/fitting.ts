/** When and where the ensemble is fitted: here, while the loop waits, or on a thread beside it. */
import { breathe } from '../../node.ts';
import type { RewardEnsemble } from '../reward/ensemble.ts';
import type { Fit } from '../reward/fit.ts';
import type { FitJob, FitOutcome, RewardThread } from '../reward/thread.ts';
import type { TeachingProgress } from './progress.ts';
import type { ComparisonRecord } from './record.ts';
import { createUnderway } from './underway.ts';

/** What a fit needs. */
interface FittingParts {
  ensemble: Pick<RewardEnsemble, 'fit' | 'save' | 'adopt' | 'setScale'>;
  /** The ensemble before its first fit, for a teacher who may change judgments. */
  untaught?: FitJob['ensemble'];
  record: Pick<ComparisonRecord, 'usable'>;
  /** Called before a fit changes the ensemble; what it returns is called after, and says how alike the two are. */
  compare(): () => number;
  /** The current scale of the inputs. */
  scale(): FitJob['scale'];
}
type FittingProgress = Pick<TeachingProgress, 'step' | 'updates' | 'fitted' | 'anew' | 'unlearned'>;

/** A way to fit the ensemble. */
export interface Fitting {
  /**
   * Fits the ensemble if there is something new to learn. Returns the fit that just ended, if any, and, if it was not
   * the first, Pearson's r of returns predicted before and after it.
   */
  learn(): Promise<{ fit?: Fit; steadiness?: number }>;
  /** State for a checkpoint: a resumed run repeats a fit in progress. */
  save(): Pick<TeachingProgress, 'anew' | 'unlearned'>;
  /** Drops a fit in progress. */
  forget(): void;
}

/**
 * The next fit: to all comparisons, if some are new and any is usable. The progress then counts all of them as learned.
 * After a changed judgment, the fit starts from the untaught ensemble, since the old judgment affected all weights.
 */
export function nextFit(
  progress: Pick<TeachingProgress, 'fitted' | 'anew' | 'unlearned'>,
  { ensemble, untaught, record, scale }: FittingParts,
): FitJob | undefined {
  if (progress.unlearned === null) return undefined;
  const comparisons = record.usable();
  progress.unlearned = null;
  if (comparisons.length === 0) return undefined;
  const { anew, fitted } = progress;
  progress.anew = false;
  return { ensemble: anew ? untaught! : ensemble.save(), comparisons, first: anew || !fitted, scale: scale() };
}

/** Fits while the loop waits. */
export function createFittingHere(progress: FittingProgress, parts: FittingParts): Fitting {
  const { ensemble, untaught } = parts;
  return {
    async learn() {
      const job = nextFit(progress, parts);
      if (!job) return {};
      const after = progress.fitted ? parts.compare() : undefined;
      const { ensemble: start, scale, comparisons, ...call } = job;
      if (start === untaught) ensemble.adopt(start.state, start.tensors);
      ensemble.setScale(scale);
      const fit = await ensemble.fit(comparisons, call);
      progress.fitted = true;
      return { fit, ...(after && { steadiness: after() }) };
    },
    save: () => ({ unlearned: progress.unlearned, anew: progress.anew }),
    forget() {},
  };
}

/**
 * Fits on a thread while the loop continues. The loop waits before the first fit, at the end of the run, and once
 * `staleness` updates have run on a reward that has not seen the latest comparisons.
 */
export function createFittingBeside(
  progress: FittingProgress,
  parts: FittingParts & { thread: Pick<RewardThread, 'fit'>; staleness: number; steps: number },
): Fitting {
  const { ensemble, thread, staleness, steps } = parts;
  const underway = createUnderway<FitOutcome>();
  /** Whether the fit in progress started from the untaught ensemble. */
  let anew = false;
  return {
    async learn() {
      let learned: Awaited<ReturnType<Fitting['learn']>> = {};
      await breathe(); // the thread's messages arrive
      for (;;) {
        const age = progress.updates - (underway.since ?? progress.updates);
        const wait = !progress.fitted || age >= staleness || progress.step >= steps;
        const outcome = await underway.take(wait);
        if (outcome) {
          const after = progress.fitted ? parts.compare() : undefined;
          ensemble.adopt(outcome.ensemble.state, outcome.ensemble.tensors);
          progress.fitted = true;
          learned = { fit: outcome.fit, ...(after && { steadiness: after() }) };
        }
        if (underway.since !== undefined) return learned;
        const since = progress.unlearned;
        anew = progress.anew;
        const job = nextFit(progress, parts);
        if (!job) return learned;
        underway.begin(since!, thread.fit(job));
      }
    },
    save: () => ({
      unlearned: underway.since ?? progress.unlearned,
      anew: progress.anew || (underway.since !== undefined && anew),
    }),
    forget: underway.forget,
  };
}
