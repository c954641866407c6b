/** Behaviors that no reward tells of, each by its preset: what its judge's comparisons come to. */
import { availableParallelism } from 'node:os';
import { rate } from './figures.js';
import { atOnce, casesOf, train } from './worlds-train.js';

const behaviors = [
  { env: 'CartPole-swing', counts: 'turns in 10 s', target: '≥ 5 of every seed' },
  { env: 'Hopper-backflip', counts: 'backflips in 4 s', target: '≥ 1 of every seed, ≤ 900 labels' },
  { env: 'HalfCheetah-one-leg', counts: 'm on one leg in 25 s', target: '≥ 50 of every seed' },
];

async function* taught({ seeds, env: only }) {
  for (const { env, counts, target } of casesOf(behaviors, only)) {
    const flags = (seed) => ['--env', env, '--seed', 1000 + seed, '--evaluations', 10];
    const jobs = Array.from({ length: seeds }, (_, i) => () => train('train', flags(i)));
    const results = await atOnce(jobs, availableParallelism());
    const reached = results.map((result) => result.return.mean);
    yield {
      name: `${env}, ${results[0].labels} labels, ${rate(results[0].steps)} steps`,
      value: reached.map((mean) => mean.toFixed(1)).join(', '),
      target,
      note: `${counts}, by seed; before ${results.map(({ returns }) => returns[0].toFixed(1)).join(', ')}`,
      reached,
    };
  }
}

export const worldsBehaviors = { behaviors: taught };
