/** What each way of choosing queries, and each option of the reward model, does for the labels that CartPole needs. */
import { availableParallelism } from 'node:os';
import { median } from './figures.js';
import { atOnce, train } from './worlds-train.js';

const cells = {
  'the default: disagreement': [],
  random: ['--query.rule', 'random'],
  entropy: ['--query.rule', 'entropy'],
  information: ['--query.rule', 'information'],
  coverage: ['--query.rule', 'coverage'],
  'half disagreement, half coverage': ['--query.share', 0.5, '--query.rest', 'coverage'],
  'dropout 0.2': ['--reward.dropout', 0.2],
  'crop 0.7': ['--reward.crop', 0.7],
  'pseudo 0.5': ['--reward.pseudo', 0.5],
  'crop 0.7, pseudo 0.5': ['--reward.crop', 0.7, '--reward.pseudo', 0.5],
  'bonus 0.05': ['--reward.bonus', 0.05],
};

/** With two true labels every way solves CartPole; with mistakes among them, and on a cheetah that has few, the ways come apart. */
const cases = [
  { env: 'CartPole-v1', flags: ['--labels', 10, '--teacher', 'mistake:0.2'], solved: 475 },
  { env: 'HalfCheetah-v5', flags: ['--labels', 60, '--steps', 61_440, '--episodes', 10], most: 4 },
];

async function* queries({ seeds }) {
  for (const { env, flags, solved, most = seeds } of cases) {
    for (const [name, varied] of Object.entries(cells)) {
      const given = ['--env', env, '--evaluations', 0, ...flags, ...varied];
      const results = await atOnce(
        Array.from({ length: Math.min(seeds, most) }, (_, i) => () => train('train', [...given, '--seed', 100 + i])),
        availableParallelism(),
      );
      const returns = results.map((result) => result.return.mean);
      yield {
        name: `${env} ${flags.join(' ')}, ${name}`,
        value: median(returns).toFixed(0),
        note: `${solved ? `${returns.filter((mean) => mean >= solved).length} of ${returns.length} solved; ` : ''}seeds ${returns.map((mean) => mean.toFixed(0)).join(', ')}`,
        returns,
      };
    }
  }
}

export const worldsQueries = { queries };
