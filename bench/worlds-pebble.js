/** PEBBLE beside SAC on the true reward, the same networks and the same steps. Twenty minutes of a core a seed of HalfCheetah. */
import { availableParallelism } from 'node:os';
import { median } from './figures.js';
import { atOnce, casesOf, train } from './worlds-train.js';

/** Networks of 32 × 32 swing a pendulum up within seconds. */
const small = {
  ...{ hidden: '32,32', minibatch: 32, learningRate: 0.003, discount: 0.95, bufferSize: 10_000 },
  gradientSteps: 2,
};
const cases = [
  {
    env: 'Pendulum-v1',
    steps: 4000,
    labels: [60, 30],
    flags: ['--episodes', 20],
    sac: { ...small, learningStarts: 200 },
    pebble: { ...small, pretrainSteps: 300 },
    taught: [
      ...['--randomSteps', 200, '--segment.window', 25, '--segment.memory', 2000],
      ...['--schedule.rounds', 5, '--schedule.until', 0.3],
      ...['--reward.hidden', '32,32', '--reward.constant', 0],
      ...['--reward.normalize', 'zero-mean', '--reward.deviation', 2],
    ],
  },
  ...['HalfCheetah-v5', 'Walker2d-v5'].map((env) => ({
    env,
    steps: 100_000,
    labels: [700],
    flags: ['--episodes', 10],
    sac: { learningStarts: 5000 },
    pebble: { pretrainSteps: 4000 },
    taught: ['--randomSteps', 1000],
  })),
];

const flagsOf = (part, settings) => Object.entries(settings).flatMap(([name, value]) => [`--${part}.${name}`, value]);
const shown = (returns) => returns.map((mean) => mean.toFixed(0)).join(', ');

async function* pebble({ seeds, env: only }) {
  for (const { env, steps, labels, flags, sac, pebble, taught } of casesOf(cases, only)) {
    const common = (seed) => ['--env', env, '--steps', steps, '--seed', seed, '--evaluations', 0, ...flags];
    const returns = async (command, more) => {
      const jobs = Array.from({ length: seeds }, (_, seed) => () => train(command, [...common(seed), ...more]));
      return (await atOnce(jobs, availableParallelism())).map((result) => result.return.mean);
    };
    const told = await returns('rl', ['--algorithm', 'sac', ...flagsOf('sac', sac)]);
    for (const count of labels) {
      const more = ['--algorithm', 'pebble', '--labels', count, ...flagsOf('pebble', pebble), ...taught];
      const ours = await returns('train', more);
      yield {
        name: `PEBBLE ${env}, ${count} labels, ${steps} steps`,
        value: `median ${median(ours).toFixed(0)}`,
        target: 'as SAC on the true reward',
        note: `${shown(ours)}; SAC ${shown(told)}`,
        taught: ours,
        told,
      };
    }
  }
}

export const worldsPebble = { pebble };
