/**
 * Track 2: the embedded world from its base model to a true reward of 5.4, by any method.
 *
 * Rule: the embedded model, its demonstrations, and at most 1,000 comparisons of a policy's own completions, one in ten of
 * them wrong. The true reward is read once, at the end. The score is the mean true reward of one completion of each prompt
 * of the world. A method that chooses among completions may, by what it learned. The time is of everything.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bestOfN, dpo, reward, sft } from '../../dist/align/index.js';
import { reviewComparisons } from '../../dist/align/parts.js';
import { saveModel } from '../../dist/lm/index.js';
import { seedFor } from '../../dist/random.js';

export const target = 5.4;
export const unit = 'true reward';

export async function run(seed) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-speedrun-'));
  const unmeasured = { seed, evaluations: 0, evaluation: { share: 0 } };
  try {
    const { model } = await sft({ seed, evaluations: 0, samples: { count: 0 } });
    const place = join(folder, 'sft');
    saveModel(place, model);
    const compare = (policy, name) =>
      reviewComparisons(policy, { comparisons: 500, teacher: 'mistake:0.1', seed: seedFor(seed, name) });
    const early = await compare(model, 'early');
    const { model: better } = await dpo({ ...unmeasured, model, data: early });
    // what the better policy writes teaches the reward which of two good texts is better
    const data = [...early, ...(await compare(better, 'late'))];
    const learned = await reward({ ...unmeasured, model: place, data, labelSmoothing: 0.1 });
    const { bestOf } = await bestOfN({
      model: better,
      reward: learned.model,
      gold: 'reviews',
      completions: 8,
      maxTokens: 72,
      seed,
    });
    return bestOf.at(-1).gold;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
