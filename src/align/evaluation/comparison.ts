/** What an evaluation of a policy tells, made of the pairs of answers that were compared. */
import { checkVerdicts, type JudgeCheck, type Verdict } from '../judges/judge.ts';
import { mean } from '../preferences/evaluation.ts';
import { type LengthControlled, lengthControlled, meanDifference, type Outcome, winRateOf } from './win-rate.ts';

/** The policy's answer to a prompt and the baseline's. */
export interface ComparedPair {
  prompt: string;
  /** As the dataset has it: text or messages. */
  asked: unknown;
  policy: string;
  baseline: string;
  /** 1: the policy's is better; 0: the baseline's is; ½: a tie. By the judge where there is one, else by the rewards. */
  preference: number;
  /** What each is worth. */
  rewards?: { policy: number; baseline: number };
  /** What the judge said, with the policy's answer as the first of the pair; undefined of answers that are equal. */
  verdict?: Verdict;
  /** log π − log π_baseline of the policy's answer, in nats. */
  logRatio?: number;
}

/** Plain numbers, but for the pairs. Intervals are of 95 %. */
export interface PolicyComparison {
  model: string;
  baseline: string;
  /** Share of the prompts on which the policy's answer is better, a tie being half a win. */
  winRate: number;
  interval: [low: number, high: number];
  n: number;
  wins: number;
  losses: number;
  ties: number;
  /** The win rate that would be if answers were as long; undefined where no lengths differ. */
  lengthControlled?: LengthControlled;
  /** Mean rewards, and of the same prompts their difference. */
  reward?: { policy: number; baseline: number; difference: number; interval: [low: number, high: number] };
  /** Of the policy from the baseline, in nats an answer; where that is a model with the same tokens. */
  kl?: number;
  /** Mean characters of an answer. */
  length: { policy: number; baseline: number };
  judge?: JudgeCheck;
  pairs: readonly ComparedPair[];
}

export const outcomeOf = ({ preference, policy, baseline }: ComparedPair): Outcome => ({
  preference,
  lengths: [policy.length, baseline.length],
});

export function comparisonOf(
  pairs: readonly ComparedPair[],
  { model, baseline }: { model: string; baseline: string },
): PolicyComparison {
  const outcomes = pairs.map(outcomeOf);
  const count = (preference: number) => pairs.filter((pair) => pair.preference === preference).length;
  const lengths = (which: 0 | 1) => mean(outcomes.map(({ lengths }) => lengths[which]));
  const rewards = pairs.flatMap((pair) => pair.rewards ?? []);
  const ratios = pairs.flatMap(({ logRatio }) => logRatio ?? []);
  const verdicts = pairs.flatMap(({ verdict }) => verdict ?? []);
  return {
    model,
    baseline,
    ...winRateOf(outcomes),
    n: pairs.length,
    wins: count(1),
    losses: count(0),
    ties: count(0.5),
    ...(outcomes.some(({ lengths: [ours, theirs] }) => ours !== theirs) && {
      lengthControlled: lengthControlled(outcomes),
    }),
    ...(rewards.length > 0 && {
      reward: {
        policy: mean(rewards.map(({ policy }) => policy)),
        baseline: mean(rewards.map(({ baseline }) => baseline)),
        ...meanDifference(rewards.map(({ policy, baseline }) => policy - baseline)),
      },
    }),
    ...(ratios.length > 0 && { kl: mean(ratios) }),
    length: { policy: lengths(0), baseline: lengths(1) },
    ...(verdicts.length > 0 && { judge: checkVerdicts(verdicts) }),
    pairs,
  };
}
