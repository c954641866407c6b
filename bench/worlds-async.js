/** The asynchronous loop beside the synchronous one: what each learns, and its wall time, in turn. Both leave out evaluations on the way. */
import { median } from './figures.js';
import { casesOf, train } from './worlds-train.js';

const cases = [
  { env: 'CartPole-v1', flags: ['--labels', 10], solved: 475 },
  { env: 'CartPole-v1', flags: ['--labels', 100, '--teacher', 'mistake:0.1', '--reward.steps', 300], solved: 475 },
  { env: 'HalfCheetah-v5', flags: ['--steps', 60_000, '--labels', 300, '--episodes', 5] },
];

async function* async({ seeds, env: only }) {
  for (const { env, flags, solved } of casesOf(cases, only)) {
    const results = { sync: [], async: [] };
    for (let seed = 0; seed < (solved ? seeds : Math.min(seeds, 3)); seed++) {
      const given = ['--env', env, '--seed', seed, '--evaluations', 0, ...flags];
      results.sync.push(await train('train', given));
      results.async.push(await train('train', [...given, '--async']));
    }
    const seconds = Object.fromEntries(
      Object.entries(results).map(([loop, runs]) => [loop, median(runs.map((run) => run.seconds))]),
    );
    const ratio = median(results.sync.map((run, i) => run.seconds / results.async[i].seconds));
    const returns = (loop) => results[loop].map((run) => run.return.mean.toFixed(0)).join(', ');
    const solvedBy = (loop) =>
      solved ? `${results[loop].filter((run) => run.return.mean >= solved).length} of ${seeds}: ` : '';
    yield {
      name: `${env} ${flags.join(' ')}, asynchronous`,
      value: `${ratio.toFixed(2)}× as fast`,
      target: solved ? '> 1×, solved as often' : '> 1×',
      note: `${seconds.async.toFixed(1)} s, synchronous ${seconds.sync.toFixed(1)} s; returns ${solvedBy('async')}${returns('async')}; synchronous ${solvedBy('sync')}${returns('sync')}`,
      seconds,
      ratio,
      results,
    };
  }
}

export const worldsAsync = { async };
