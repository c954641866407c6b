/** What each way of choosing queries, and each option of the reward model, does for the labels that CartPole needs. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const heed = fileURLToPath(new URL('../bin/heed.js', import.meta.url));
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** One training in a process of its own, on one thread; its result. */
function train(seed, labels, flags) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  try {
    const given = ['--env', 'CartPole-v1', '--seed', seed, '--labels', labels, '--evaluations', 0, ...flags].map(
      String,
    );
    const run = spawnSync(process.execPath, [heed, 'train', ...given, '--json', '--out', join(folder, 'run')], {
      encoding: 'utf8',
      env: { ...process.env, HEED_THREADS: '1' },
    });
    if (run.status !== 0) throw new Error(`heed train ${given.join(' ')}: ${run.stderr.trim().split('\n').at(-1)}`);
    return JSON.parse(run.stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

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

/** Ten labels are enough for most seeds whatever is chosen; with four the ways come apart. */
async function* queries({ seeds }) {
  for (const labels of [10, 4]) {
    for (const [name, flags] of Object.entries(cells)) {
      const results = Array.from({ length: seeds }, (_, i) => train(100 + i, labels, flags));
      const returns = results.map((result) => result.return.mean);
      const reached = returns.filter((mean) => mean >= 475).length;
      yield {
        name: `CartPole-v1, ${labels} labels, ${name}`,
        value: `${reached} of ${seeds}`,
        note: `median ${median(returns).toFixed(0)}, least ${Math.min(...returns).toFixed(0)}`,
        returns,
      };
    }
  }
}

export const worldsQueries = { queries };
