/** Pong of where the ball and the paddles are, by the score and by comparisons: what an agent has learned by 150,000 steps. */
import { fileURLToPath } from 'node:url';
import { median } from './figures.js';
import { train } from './worlds-train.js';

const examples = fileURLToPath(new URL('../examples', import.meta.url));

async function* pong({ seeds }) {
  for (const [command, config, name] of [
    ['rl', 'pong-score.json', 'the score itself'],
    ['train', 'pong-preferences.json', '700 labels'],
  ]) {
    const results = [];
    for (let seed = 0; seed < seeds; seed++) {
      const given = ['--config', `${examples}/${config}`, '--seed', seed];
      results.push(await train(command, given, { PYTHONPATH: examples }));
    }
    const last = results.map(({ returns }) => returns.at(-1));
    yield {
      name: `Pong's state, ${name}`,
      value: median(last).toFixed(1),
      target: '≥ −15',
      note: `of −21 … 21, after 150,000 steps; median of seeds ${last.map((one) => one.toFixed(1)).join(', ')}`,
      returns: results.map(({ returns }) => returns),
    };
  }
}

/** Needs HEED_PYTHON with ale-py. */
export const worldsPong = { pong };
