/** The progress of a training: from its first second on, and while a step takes long. */
import type { ProgressOptions } from '../../run/progress.ts';
import { createLoggedProgress } from '../program/log.ts';

/** Milliseconds between looks at the progress, which decides itself when to write. */
const TICK = 1000;

export interface TrainingProgress {
  /** Whether a step was taken. */
  readonly started: boolean;
  /** Prints a line above the live one. */
  note(text: string): void;
  /** Prints a line about something to look at. */
  warn(text: string): void;
  /** Says that a step was reached, with its figures; figures that it lacks stay unchanged. */
  at(step: number, figures: Readonly<Record<string, number>>): void;
  /** Ends the line. `seconds`: how long the training took in all. */
  end(seconds?: number): void;
}

/** Shows a training's progress. That of a resumed one begins with its first step: what came before is not measured. */
export function createTrainingProgress(options: ProgressOptions, isResumed: boolean): TrainingProgress {
  let progress = createLoggedProgress(options);
  let started = false;
  let reached = 0;
  let seen: Readonly<Record<string, number>> = {};
  const draw = () => {
    if (started || !isResumed) progress.update(reached, seen);
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
      if (!started) progress = createLoggedProgress({ ...options, from: step });
      started = true;
      reached = step;
      seen = { ...seen, ...figures };
      draw();
    },
    end(seconds) {
      clearInterval(ticking);
      if (started || (!isResumed && process.stderr.isTTY)) progress.done(seconds);
    },
  };
}
