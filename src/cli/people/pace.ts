/** How fast a training goes while it does not wait for anybody. */
import type { RoomState } from '../../feedback/room.ts';
import type { Round } from '../../preference/schedule.ts';
import type { TeachingRoom } from './room.ts';

/** Measures a training's pace. */
export interface Pace {
  /** Says that a step was reached. */
  at(step: number): void;
  /** Says that the training begins or ceases to wait: this time does not count. */
  wait(waiting: boolean): void;
  /** Seconds until a step is reached; undefined before there is a pace. */
  until(step: number): number | undefined;
}

/** Milliseconds over which the pace is measured. */
const WINDOW = 2500;

/** What a room says of the time until the next round of queries and until the end of a training of `steps` steps. */
export function ahead(
  pace: Pace,
  nextRound: Round | undefined,
  steps: number,
): Pick<RoomState, 'next' | 'secondsLeft'> {
  const seconds = nextRound && pace.until(nextRound.atStep);
  return {
    next: seconds === undefined ? undefined : { labels: nextRound!.labels, seconds: Math.round(seconds * 10) / 10 },
    secondsLeft: pace.until(steps),
  };
}

/** Resolves when the owner no longer pauses the training. The time until then does not count. */
export async function unpaused(pace: Pace, room: TeachingRoom, signal: AbortSignal | undefined): Promise<void> {
  pace.wait(true);
  await room.unpaused(signal);
  pace.wait(false);
}

/** Starts to measure. `clock` is a monotonic clock in milliseconds. */
export function createPace(clock: () => number = () => performance.now()): Pace {
  let idle = 0;
  let waitsSince: number | undefined;
  let marks: { time: number; step: number }[] = [];
  const active = () => (waitsSince ?? clock()) - idle;
  return {
    at(step) {
      const time = active();
      if (step === marks.at(-1)?.step) return;
      marks.push({ time, step });
      const old = marks.findLastIndex((mark) => time - mark.time > WINDOW);
      marks = marks.slice(Math.max(0, old));
    },
    wait(waiting) {
      if (waiting) waitsSince ??= clock();
      else if (waitsSince !== undefined) {
        idle += clock() - waitsSince;
        waitsSince = undefined;
      }
    },
    until(step) {
      const last = marks.at(-1);
      const each = marks.slice(1).map(({ time, step }, i) => (time - marks[i].time) / (step - marks[i].step));
      if (!last || each.length === 0) return undefined;
      // the median: a step with a fit or an evaluation takes long, and few are like that
      const perStep = each.sort((a, b) => a - b)[Math.floor(each.length / 2)];
      return Math.max(0, ((step - last.step) * perStep - (active() - last.time)) / 1000);
    },
  };
}
