import type { Comparison, Parts, Segment } from './parts.ts';

/** How much the loop may use. */
export interface Budget {
  /** Rollouts, each followed by one update of the policy. */
  rollouts: number;
  /** Questions to the teacher, in all. */
  labels: number;
  /** They are asked in this many rounds of the same size: at rollouts 0, `every`, 2 · `every`, … */
  rounds: number;
  /** Rollouts from one round to the next. */
  every: number;
}

/**
 * Learns from preferences. For each rollout: act; if a round of questions is due, ask and fit the ensemble to all
 * comparisons so far; then update the policy on the rewards that the ensemble predicts.
 *
 * For a round, draw five times as many pairs of segments as there are questions, and ask about those pairs on which the
 * ensemble disagrees most.
 */
export function learn(parts: Parts, { rollouts, labels, rounds, every }: Budget): void {
  const comparisons: Comparison[] = [];
  const perRound = labels / rounds;

  /** Asks about the pairs that are worth asking about, and remembers what the teacher says. */
  const ask = () => {
    const pairs: [Segment, Segment][] = [];
    // draw the pairs, sort them, ask about the first of them
  };

  for (let i = 0; i < rollouts; i++) {
    const rollout = parts.rollOut();
    // ask if it is time, fit, predict the rewards, update the policy
  }
  throw new Error('write me');
}
