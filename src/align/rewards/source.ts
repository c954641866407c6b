/** What a reward is: answers in, a number for each out. */
import type { Row } from '../../data/index.ts';

/** An answer of a policy, as a reward sees it. */
export interface Answer {
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

export interface Reward {
  readonly name: string;
  /**
   * A finite number for each answer, in their order.
   *
   * @throws HeedError where a reward cannot be had, or is no number; the signal's reason where it aborts.
   */
  score(answers: readonly Answer[], signal?: AbortSignal): Promise<ArrayLike<number>>;
  release(): void;
}
