/** What a reward is: answers in, a number for each out, and what that is made of where a reward can tell. */
import type { Row } from '../../data/index.ts';

/** An answer of a policy, as a reward sees it. */
export interface Completion {
  /** Tokens of the prompt as the policy read it. */
  readonly prompt: readonly number[];
  /** Tokens of the answer, with the one that ended it. */
  readonly response: readonly number[];
  /** Whether the policy ended it; else it was cut. */
  readonly ended: boolean;
  readonly promptText: string;
  readonly text: string;
  /** The dataset's row that the prompt is from. */
  readonly row?: Row;
}

/** What a step of an answer adds to its reward. */
export interface StepReward {
  /** Characters of the answer's text up to where the step ends. */
  end: number;
  reward: number;
}

/** One of several rewards of the same answers. */
export interface NamedScores {
  name: string;
  /** Of each answer. */
  scores: ArrayLike<number>;
}

export interface RewardPart extends NamedScores {
  /** What it counts for in the sum. */
  weight: number;
}

export interface Scores {
  /** A finite number for each answer, in their order. */
  scores: ArrayLike<number>;
  /** Of each answer, its steps in their order. What they leave of its score is the whole answer's. */
  steps?: readonly (readonly StepReward[])[];
  /** What the scores are the sum of. */
  parts?: readonly RewardPart[];
  /** Of each answer, the deviation of an ensemble's members: how far they disagree. */
  deviations?: ArrayLike<number>;
  /** Rewards that are no part of the scores, but are asked for. */
  others?: readonly NamedScores[];
}

/** What says how good completions are. */
export interface Reward {
  /** What errors and metrics call it. */
  readonly name: string;
  /**
   * A finite number for each answer, in their order.
   *
   * @throws HeedError where a reward cannot be had, or is no number; the signal's reason where it aborts.
   */
  score(answers: readonly Completion[], signal?: AbortSignal): Promise<ArrayLike<number>>;
  /** The same, and what the numbers are made of. Absent where a reward cannot tell. */
  explain?(answers: readonly Completion[], signal?: AbortSignal): Promise<Scores>;
}

/** A reward that holds native memory or processes, for whoever opened it to dispose of. */
export type OpenReward = Reward & Disposable;

export const explained = async (
  reward: Reward,
  answers: readonly Completion[],
  signal?: AbortSignal,
): Promise<Scores> =>
  reward.explain ? reward.explain(answers, signal) : { scores: await reward.score(answers, signal) };
