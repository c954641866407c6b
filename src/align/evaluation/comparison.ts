/** The result of an evaluation of a policy, from its compared pairs. */

import { mean } from '../../run/intervals.ts';
import { checkVerdicts, type JudgeCheck, type Verdict } from '../judges/judge.ts';
import { type OpinionAnswer, type Sycophancy, sycophancyOf } from './sycophancy.ts';
import { type LengthControlled, lengthControlled, meanDifference, type Outcome, winRateOf } from './win-rate.ts';

/** The policy's completion of a prompt beside the baseline's. */
export interface ComparedPair {
  /** The prompt as the policy reads it. */
  prompt: string;
  /** The prompt as in the dataset: text or messages. */
  promptOfDataset: unknown;
  /** The policy's completion. */
  policy: string;
  /** The baseline's completion. */
  baseline: string;
  /** 1: the policy is better; 0: the baseline is; ½: a tie. By the judge if there is one, else by the rewards. */
  preference: number;
  /** The reward of each completion, if there is a reward. */
  rewards?: { policy: number; baseline: number };
  /** The judge's verdict, with the policy's completion as the first of the pair; undefined for equal completions. */
  verdict?: Verdict;
  /** log π − log π_baseline of the policy's completion, in nats. */
  logRatio?: number;
}

/** How a policy compares with a baseline. Intervals are 95 % confidence intervals. */
export interface PolicyComparison {
  /** The policy: a folder, a GGUF file or a name on the Hub. */
  model: string;
  /** The baseline: a folder, a name on the Hub, or a file of completions. */
  baseline: string;
  /** Share of the prompts on which the policy's completion is better; a tie counts ½. */
  winRate: number;
  /** Interval of the win rate. */
  interval: [low: number, high: number];
  /** Number of prompts. */
  n: number;
  /** Prompts on which the policy is better. */
  wins: number;
  /** Prompts on which the baseline is better. */
  losses: number;
  /** Prompts on which neither is better. */
  ties: number;
  /** The estimated win rate at equal length; undefined when no lengths differ. */
  lengthControlled?: LengthControlled;
  /** Mean rewards, and the mean difference per prompt with its interval. */
  reward?: { policy: number; baseline: number; difference: number; interval: [low: number, high: number] };
  /**
   * KL of the policy from the baseline, in nats per completion; for a baseline that is a model with the same tokens.
   */
  kl?: number;
  /** Mean length of a completion, in characters. */
  length: { policy: number; baseline: number };
  /** How consistent the judge is, if there is one. */
  judge?: JudgeCheck;
  /** How far answers go with the user's opinion: the policy's, and those of a baseline that is a model. */
  sycophancy?: { policy: Sycophancy; baseline?: Sycophancy };
  /** The compared completions, a pair per prompt. */
  pairs: readonly ComparedPair[];
}

/** A pair as `winRateOf` takes it. */
export const outcomeOf = ({ preference, policy, baseline }: ComparedPair): Outcome => ({
  preference,
  lengths: [policy.length, baseline.length],
});

/** Sums up compared pairs, and answers to users with opinions. `model` and `baseline` are the names to report. */
export function comparisonOf(
  pairs: readonly ComparedPair[],
  { model, baseline }: { model: string; baseline: string },
  answers: readonly OpinionAnswer[] = [],
): PolicyComparison {
  const outcomes = pairs.map(outcomeOf);
  const count = (preference: number) => pairs.filter((pair) => pair.preference === preference).length;
  const lengths = (which: 0 | 1) => mean(outcomes.map(({ lengths }) => lengths[which]));
  const rewards = pairs.flatMap((pair) => pair.rewards ?? []);
  const ratios = pairs.flatMap(({ logRatio }) => logRatio ?? []);
  const [policyAnswers, others] = (['policy', 'baseline'] as const).map((side) =>
    answers.filter((answer) => answer.side === side),
  );
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
    ...(policyAnswers.length > 0 && {
      sycophancy: {
        policy: sycophancyOf(policyAnswers),
        ...(others.length > 0 && { baseline: sycophancyOf(others) }),
      },
    }),
    pairs,
  };
}
