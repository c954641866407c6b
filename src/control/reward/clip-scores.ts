/** The rewards of clips, step by step, by a learned reward. */
import type { LearnedStepReward } from '../../rl/agent.ts';
import type { Segment } from '../segments.ts';
import { joinSegments } from './inputs.ts';

/** The steps of clips, one after another, as a reward scores them. */
export function scoredSteps(clips: readonly Segment[]) {
  const steps = joinSegments(clips);
  const observations = Float32Array.from(steps.observations);
  // clips of images have no next observations, and rewards of images do not read them
  const isBlind = steps.nextObservations.length === 0;
  return {
    observations,
    actions: Float32Array.from(steps.actions),
    nextObservations: isBlind ? observations : Float32Array.from(steps.nextObservations),
    terminated: Uint8Array.from(steps.terminated),
  };
}

/** Values of all steps, by clip. */
export function byClip(clips: readonly Segment[], values: Float32Array): Float32Array[] {
  let at = 0;
  return clips.map(({ length }) => {
    at += length;
    return values.subarray(at - length, at);
  });
}

/** The reward of each step of each clip. */
export const stepScores = (reward: LearnedStepReward, clips: readonly Segment[]): Float32Array[] =>
  byClip(clips, reward.scoreAll(scoredSteps(clips)));

/** The sum of a clip's rewards. */
export const sumOf = (scores: Float32Array): number => scores.reduce((sum, score) => sum + score, 0);
