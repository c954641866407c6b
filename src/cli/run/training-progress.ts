/** The progress of a training: from its first second on, and while a step takes long. */
import type { ProgressOptions } from '../../run/progress.ts';
import { createLoggedProgress } from '../program/log.ts';

/** Milliseconds between looks at the progress, which decides itself when to write. */
const TICK = 1000;

/** What learners say of long work within a step, as shares. */
const EVALUATED = ['completions evaluated', 'batches evaluated', 'items evaluated'];

export interface TrainingProgress {
  /** Whether a step was taken. */
  readonly started: boolean;
  /** Prints a line above the live one. */
  note(text: string): void;
  /** Prints a line about something to look at. */
  warn(text: string): void;
  /** Says that a step was reached, with its figures; figures that it lacks stay unchanged. */
  at(step: number, figures: Readonly<Record<string, number>>): void;
  /** Says how far long work within a step is, such as an evaluation. */
  within(what: string, done: number, total: number): void;
  /** Ends the line. `seconds`: how long the training took in all. */
  end(seconds?: number): void;
}

/** Shows a training's progress. That of a resumed one begins with its first step: what came before is not measured. */
export function createTrainingProgress(options: ProgressOptions, isResumed: boolean): TrainingProgress {
  const withShares = { ...options, shares: [...(options.shares ?? []), ...EVALUATED] };
  let progress = createLoggedProgress(withShares);
  let started = false;
  let reached = 0;
  let seen: Readonly<Record<string, number>> = {};
  let within: Readonly<Record<string, number>> = {};
  const draw = () => {
    if (started || !isResumed || Object.keys(within).length > 0) progress.update(reached, { ...seen, ...within });
  };
  draw();
  const ticking = setInterval(draw, TICK);
  return {
    get started() {
      return started;
    },
    note: (text) => progress.note(text),
    warn: (text) => progress.warn(text),
    at(step, figures) {
      // what came before the first step, such as an evaluation, does not count for the speed
      if (!started) progress = createLoggedProgress({ ...withShares, from: step });
      started = true;
      reached = step;
      seen = { ...seen, ...figures };
      within = {};
      draw();
    },
    within(what, done, total) {
      within = done < total ? { [what]: done / total } : {};
      draw();
    },
    end(seconds) {
      clearInterval(ticking);
      if (started || (!isResumed && process.stderr.isTTY)) progress.done(seconds);
    },
  };
}
