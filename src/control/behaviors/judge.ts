/** A judge of clips: it stands in for a person who watches two clips and says which one is better. */
import type { Segment } from '../segments.ts';

/** What a judge sees: what the agent saw and did. Never the environment's reward. */
export interface Clip {
  /** Steps of the clip, oldest first. */
  readonly steps: readonly ClipStep[];
  /** Whether the last step ended the task. */
  readonly terminated: boolean;
}

/** A step of a clip. */
export interface ClipStep {
  /** What the agent saw, [o]. */
  readonly observation: ArrayLike<number>;
  /** What it did, [a]; a discrete action is its number. */
  readonly action: ArrayLike<number>;
  /** What it saw next, [o]; empty if observations are images. */
  readonly next: ArrayLike<number>;
}

/** A score of a clip, in any unit; the better clip has the higher one. Finite, and the same for the same clip. */
export type Judge = (clip: Clip) => number;

/** A segment as a judge sees it. */
export function clipOf({ length, observations, actions, nextObservations, terminated }: Segment): Clip {
  const row = <T extends Segment['observations']>(values: T, i: number) =>
    values.subarray((i * values.length) / length, ((i + 1) * values.length) / length);
  const steps = Array.from({ length }, (_, i) => ({
    observation: row(observations, i),
    action: row(actions, i),
    next: row(nextObservations, i),
  }));
  return { steps, terminated };
}

/**
 * A clip as a segment; `clipOf` is the inverse. Its rewards are 0: nothing is learned from them.
 *
 * @param image Whether observations are images; their bytes stay bytes, and `next` is not read.
 */
export function segmentOf({ steps, terminated }: Clip, image: boolean): Segment {
  const joined = (rows: readonly ArrayLike<number>[]) => rows.flatMap((row) => Array.from(row ?? []));
  const observations = joined(steps.map(({ observation }) => observation));
  return {
    length: steps.length,
    observations: image ? Uint8Array.from(observations) : Float32Array.from(observations),
    actions: Float32Array.from(joined(steps.map(({ action }) => action))),
    nextObservations: image ? new Uint8Array(0) : Float32Array.from(joined(steps.map(({ next }) => next))),
    rewards: new Float32Array(steps.length),
    terminated,
  };
}

/** A judge that sums a score of each step. */
export const sumOver = (rewardOf: (step: ClipStep) => number): Judge => {
  return ({ steps }) => steps.reduce((sum, step) => sum + rewardOf(step), 0);
};

/** By how much an angle grew from one sine and cosine to another, within ±π. */
export function turned(from: readonly [sine: number, cosine: number], to: readonly [sine: number, cosine: number]) {
  const [sine, cosine] = from;
  return Math.atan2(to[0] * cosine - to[1] * sine, to[1] * cosine + to[0] * sine);
}
