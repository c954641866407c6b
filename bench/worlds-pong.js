/** Pong from preferences, of where the ball and the paddles are: what an agent has learnt by 300,000 steps. */

import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { median } from './figures.js';
import { atOnce, train } from './worlds-train.js';

const examples = fileURLToPath(new URL('../examples', import.meta.url));
const world = ['--env', 'gym:pong_state:PongState-v0', '--steps', 300_000, '--evaluations', 6, '--episodes', 4];
const ppo = {
  horizon: 256,
  minibatch: 256,
  epochs: 6,
  discount: 0.99,
  lambda: 0.95,
  learningRate: 1e-3,
  entropyCoefficient: 0.01,
  annealClip: false,
  normaliseObservations: true,
};
const acting = Object.entries(ppo).flatMap(([name, value]) => [`--ppo.${name}`, value]);
/** Clips of 25 steps see a point each or so: one in which nobody scores teaches nothing beside another such. */
const preferences = [
  ...['--randomSteps', 8192, '--segment.window', 25, '--segment.memory', 16_000],
  ...['--schedule.firstShare', 0.2, '--schedule.rounds', 20, '--schedule.until', 0.6, '--query.share', 0.5],
  ...['--reward.hidden', '64,64', '--reward.output', 'linear', '--reward.constant', 0, '--reward.change', true],
  ...[
    '--reward.weightDecay',
    0.3,
    '--reward.firstSteps',
    500,
    '--reward.steps',
    150,
    '--reward.normalise',
    'zero-mean',
  ],
];

async function* pong({ seeds }) {
  for (const labels of [0, 200, 700]) {
    const given = labels
      ? ['train', [...world, ...acting, ...preferences, '--labels', labels]]
      : ['rl', [...world, ...acting]];
    const results = await atOnce(
      Array.from(
        { length: seeds },
        (_, i) => () => train(given[0], [...given[1], '--seed', i], { PYTHONPATH: examples }),
      ),
      availableParallelism(),
    );
    const last = results.map(({ returns }) => returns.at(-1));
    yield {
      name: `Pong's state, ${labels ? `${labels} labels` : 'the score itself'}`,
      value: median(last).toFixed(1),
      note: `of −21 … 21, after 300,000 steps; median of seeds ${last.map((one) => one.toFixed(1)).join(', ')}`,
      returns: results.map(({ returns }) => returns),
    };
  }
}

/** Needs HEED_PYTHON with ale-py. */
export const worldsPong = { pong };
