/** An evaluation of a policy in a run's folder: the completions, and their comparisons as a dataset. */

import type { Row } from '../../data/row.ts';
import { writeDataset } from '../../data/write.ts';
import { join } from '../../node.ts';
import { driveRun, type TrainParts } from '../../run/drive.ts';
import { mean } from '../../run/intervals.ts';
import { readSamples } from '../../run/run.ts';
import type { ComparedPair, PolicyComparison } from './comparison.ts';
import type { PolicyEvaluationStep, PolicyEvaluator } from './evaluation.ts';

/** The result of `runPolicyEvaluation`. */
export interface PolicyEvaluationResult extends Omit<PolicyComparison, 'pairs'> {
  /** The run's folder. */
  run: string;
  /**
   * Path of the pairs as preference rows, the better completion as `chosen`. Equal and empty completions are left out.
   */
  comparisons: string;
  /** Seconds that the run took. */
  seconds: number;
}

/** A row of samples.jsonl. */
type PairRow = { kind: 'pair'; step: number } & ComparedPair;

/**
 * Runs an evaluation in a run's folder and writes the pairs to comparisons.jsonl. Resumes from the run's newest
 * checkpoint. Returns undefined when the signal stops it.
 */
export async function runPolicyEvaluation(
  evaluator: PolicyEvaluator,
  parts: TrainParts<PolicyEvaluationStep>,
): Promise<PolicyEvaluationResult | undefined> {
  const { run } = parts;
  const result = await driveRun(evaluator, {
    ...parts,
    before: () => ({}),
    record({ step, pairs }) {
      for (const pair of pairs) run.sample({ kind: 'pair', step, ...pair } satisfies PairRow);
      const rewards = pairs.flatMap(({ rewards }) => rewards ?? []);
      const ratios = pairs.flatMap(({ logRatio }) => logRatio ?? []);
      return {
        'win/rate': mean(pairs.map(({ preference }) => preference)),
        ...(rewards.length > 0 && {
          'reward/policy': mean(rewards.map(({ policy }) => policy)),
          'reward/baseline': mean(rewards.map(({ baseline }) => baseline)),
        }),
        ...(ratios.length > 0 && { 'kl/mean': mean(ratios) }),
      };
    },
    result(_, seconds): PolicyEvaluationResult {
      const { pairs, ...comparison } = evaluator.comparison();
      return { run: run.folder, comparisons: '', seconds, ...comparison };
    },
  });
  const comparisons = join(run.folder, 'comparisons.jsonl');
  if (result) await writeDataset(comparisons, comparedPairs(run.folder).flatMap(preferenceRow));
  return result && { ...result, comparisons };
}

/** The compared pairs in a run's folder. */
export const comparedPairs = (folder: string): ComparedPair[] => readSamples(folder) as unknown as PairRow[];

function preferenceRow({ promptOfDataset: prompt, policy, baseline, preference }: ComparedPair): Row[] {
  if (policy === baseline || policy === '' || baseline === '') return [];
  const completion = (content: string) => (Array.isArray(prompt) ? [{ role: 'assistant', content }] : content);
  const [chosen, rejected] = preference >= 0.5 ? ['policy', 'baseline'] : ['baseline', 'policy'];
  const texts: Record<string, string> = { policy, baseline };
  return [
    {
      prompt,
      chosen: completion(texts[chosen]),
      rejected: completion(texts[rejected]),
      ...(preference === 0.5 && { tie: true }),
      chosenFrom: chosen,
    },
  ];
}
