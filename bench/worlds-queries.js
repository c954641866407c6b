/** What each way of choosing queries, and each option of the reward model, does for the labels that CartPole needs. */
import { availableParallelism } from 'node:os';
import { median } from './figures.js';
import { atOnce, train } from './worlds-train.js';

const cells = {
  'the default: disagreement': [],
  random: ['--query.rule', 'random'],
  entropy: ['--query.rule', 'entropy'],
  information: ['--query.rule', 'information'],
  'dropout 0.2': ['--reward.dropout', 0.2],
  'bonus 0.05': ['--reward.bonus', 0.05],
};

/** With two right labels every way solves CartPole; with wrong ones among them some seeds fail. */
async function* queries({ seeds }) {
  for (const [name, flags] of Object.entries(cells)) {
    const given = ['--env', 'CartPole-v1', '--labels', 10, '--teacher', 'mistake:0.2', '--evaluations', 0, ...flags];
    const results = await atOnce(
      Array.from({ length: seeds }, (_, i) => () => train('train', [...given, '--seed', 100 + i])),
      availableParallelism(),
    );
    const returns = results.map((result) => result.return.mean);
    yield {
      name: `CartPole-v1, 10 labels, one in five wrong, ${name}`,
      value: `${returns.filter((mean) => mean >= 475).length} of ${seeds}`,
      note: `median ${median(returns).toFixed(0)}, least ${Math.min(...returns).toFixed(0)}`,
      returns,
    };
  }
}

export const worldsQueries = { queries };
