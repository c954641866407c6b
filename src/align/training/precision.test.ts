/** Training with products of bfloat16, on machines that have them. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkpointOf, ownData, take } from '../../../test/support/training.ts';
import { runtime } from '../../engine/runtime/current.ts';
import { random } from '../../random.ts';
import { createDpo } from '../preferences/dpo.ts';
import { createReward } from '../reward-model/reward.ts';
import { createPretrain, type PretrainLearner } from '../supervised/pretrain.ts';
import { createSft } from '../supervised/sft.ts';

const { folder } = ownData();
const support = runtime().bf16!();
const root = resolve(import.meta.dirname, '..', '..', '..');
const stories = resolve(root, '..', 'shared', 'models', 'stories260k');

describe.skipIf(!support.works)(
  `training in bf16 (${support.missing ?? support.library}) (needs bfloat16 on the CPU)`,
  () => {
    const draws = random(0, 'bf16 texts');
    const words = 'Lily saw a big red ball in the park and her mom said it was very nice to play with'.split(' ');
    const data = Array.from({ length: 120 }, () => ({
      text: Array.from({ length: 40 }, () => words[draws.integer(words.length)]).join(' '),
    }));

    const bytesOf = ({ model }: PretrainLearner) => {
      const { buffer, byteOffset, byteLength } = model.parameters.flat;
      return Buffer.from(buffer, byteOffset, byteLength);
    };

    it('resumes bit for bit, and stores what auto was', async () => {
      const input = { data, tokens: 2e4, length: 128, rows: 8, hidden: 256, layers: 1, heads: 4, vocabulary: 300 };
      const settings = { ...input, precision: 'auto' as const, evaluations: 0, samples: { count: 0 } };
      const whole = await createPretrain(settings);
      expect(whole.options.precision).toBe('bf16');
      await take(whole, 1);
      const middle = checkpointOf(whole);
      await take(whole, 1);
      const resumed = await createPretrain(settings);
      resumed.restore(middle);
      await take(resumed, 1);
      expect(bytesOf(resumed).equals(bytesOf(whole))).toBe(true);
      whole.saveModel(join(folder, 'model'));
      const exact = await createPretrain({ ...settings, precision: 'fp32' });
      await take(exact, 2);
      expect(bytesOf(exact).equals(bytesOf(whole))).toBe(false);
      expect(JSON.parse(readFileSync(join(folder, 'model', 'config.json'), 'utf8'))).not.toHaveProperty('precision');
      for (const learner of [whole, resumed, exact]) learner[Symbol.dispose]();
    });

    describe.skipIf(!existsSync(stories))(
      'follows the held-out loss of fp32 within the spread of its seeds of stories260k (needs the maintainers’ material)',
      () => {
        const said = (n: number, of: readonly string[]) =>
          Array.from({ length: n }, () => of[draws.integer(of.length)]);
        // the better completion has more words of the first half: both sides can be told apart, but not at once
        const comparisons = Array.from({ length: 160 }, () => ({
          prompt: said(8, words).join(' '),
          chosen: ` ${[...said(16, words.slice(0, 10)), ...said(8, words)].join(' ')}`,
          rejected: ` ${said(24, words).join(' ')}`,
        }));
        const common = { model: stories, evaluations: 2, learningRate: 1e-3 };
        const supervised = { ...common, data, length: 128, rows: 8, steps: 10, samples: { count: 0 } };
        const compared = { ...common, data: comparisons, batch: 16 };
        const prompts = { share: 0.2, prompts: 1, samples: 1, maxTokens: 1 };
        const trainings: Record<string, (precision: 'fp32' | 'bf16', seed: number) => Promise<Learner>> = {
          sft: (precision, seed) => createSft({ ...supervised, precision, seed }),
          reward: (precision, seed) => createReward({ ...compared, epochs: 1, precision, seed }),
          dpo: (precision, seed) => createDpo({ ...compared, steps: 8, evaluation: prompts, precision, seed }),
        };

        it.each(Object.keys(trainings))('%s', async (name) => {
          const curve = async (precision: 'fp32' | 'bf16', seed: number) => {
            const learner = await trainings[name](precision, seed);
            const losses: number[] = [];
            for (let done = false; !done; ) {
              const step = await learner.next();
              if (step.evaluation) losses.push(step.evaluation.loss!);
              done = step.done;
            }
            learner[Symbol.dispose]();
            return losses;
          };
          const exact = [await curve('fp32', 0), await curve('fp32', 1), await curve('fp32', 2)];
          const rounded = await curve('bf16', 0);
          expect(rounded).not.toEqual(exact[0]);
          for (const [at, loss] of rounded.entries()) {
            const seeds = exact.map((losses) => losses[at]);
            const spread = Math.max(...seeds) - Math.min(...seeds);
            expect(Math.abs(loss - seeds[0]), `evaluation ${at}`).toBeLessThan(spread);
          }
        });
      },
    );
  },
);

/** What the curves read of any learner. */
interface Learner extends Disposable {
  next(): Promise<{ done: boolean; evaluation?: { loss?: number } }>;
}
