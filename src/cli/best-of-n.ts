/** heed best-of-n: the best of several answers to each prompt, and what more of them would bring. */
import type { Command } from 'commander';
import { bestOfNReport, bestOfNSchema, createBestOfN, trainBestOfN } from '../align/index.ts';
import { duration, figure } from '../run/progress.ts';
import { pullProgress } from './pull.ts';
import { addTraining } from './training.ts';

export function addBestOfN(command: Command): void {
  addTraining(command.alias('bestofn'), {
    command: 'best-of-n',
    schema: bestOfNSchema,
    create(settings, tell) {
      const { done, ...pull } = pullProgress('pull');
      return createBestOfN(settings as Parameters<typeof createBestOfN>[0], { pull, tell }).finally(done);
    },
    about: ({ name, steps }) => ({ name, steps }),
    train: trainBestOfN,
    report: bestOfNReport,
    live: ({ drawn }) => ({
      best: drawn.reduce((sum, { rewards }) => sum + Math.max(...rewards), 0) / drawn.length,
    }),
    tell: ({ curve, data, seconds }) => [
      ...curve.map(({ n, kl, reward, gold }): [string, string] => [
        n === 1 ? 'reward' : `best of ${n}`,
        `${figure(reward)}${gold === undefined ? '' : `, by the second reward ${figure(gold)}`} (KL ${figure(kl)})`,
      ]),
      ['time', duration(seconds)],
      ['answers', data],
    ],
  });
}
