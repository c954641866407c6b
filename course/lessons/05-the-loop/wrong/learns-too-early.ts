// says: The first rewards were predicted by an ensemble that had not been fitted yet.
import type { Comparison, Parts, Segment } from '../parts.ts';

export interface Budget {
  rollouts: number;
  labels: number;
  rounds: number;
  every: number;
}

export function learn(parts: Parts, { rollouts, labels, rounds, every }: Budget): void {
  const comparisons: Comparison[] = [];
  const perRound = labels / rounds;

  const ask = () => {
    const candidates = Array.from({ length: 5 * perRound }, () => {
      const segments: [Segment, Segment] = [parts.drawSegment(), parts.drawSegment()];
      return { segments, disagreement: parts.disagreement(...segments) };
    });
    candidates.sort((a, b) => b.disagreement - a.disagreement);
    for (const { segments } of candidates.slice(0, perRound)) {
      comparisons.push({ segments, preference: parts.judge(...segments) });
    }
  };

  for (let i = 0; i < rollouts; i++) {
    const rollout = parts.rollOut();
    parts.updatePolicy(rollout, parts.predictRewards(rollout), i / rollouts);
    if (i % every === 0 && i < rounds * every) {
      ask();
      parts.fitEnsemble(comparisons);
    }
  }
}
