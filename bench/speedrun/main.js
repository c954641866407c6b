/**
 * npm run speedrun -- 1|2|3 [--who NAME] [--seeds 3]
 *
 * Runs a track with each seed, all of which have to reach its target, and prints the row for LEADERBOARD.md.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { timed } from '../kept.js';

const tracks = ['cartpole', 'world', 'smollm2'];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { who: { type: 'string', default: 'you' }, seeds: { type: 'string', default: '3' } },
});
const name = tracks[Number(positionals[0]) - 1];
const seeds = Number(values.seeds);
if (name === undefined || !Number.isInteger(seeds) || seeds < 1) {
  console.error(
    'npm run speedrun -- 1|2|3 [--who NAME] [--seeds 3]\n\n1: CartPole from ten comparisons; 2: the embedded world; 3: SmolLM2 on word problems',
  );
  process.exit(2);
}
const { run, target, unit } = await import(`./${name}.js`);

const results = [];
for (let seed = 0; seed < seeds; seed++) {
  const began = performance.now();
  const { score, seconds } = await timed(async () => ({ score: await run(seed) }));
  results.push({ score, processor: seconds, wall: (performance.now() - began) / 1000 });
  console.log(`seed ${seed}: ${unit} ${score.toFixed(2)}, ${seconds.toFixed(1)} s of the processor`);
}
const missed = results.filter(({ score }) => !(score >= target));
if (missed.length > 0) {
  console.error(`${missed.length} of ${seeds} seeds did not reach ${target}: no row.`);
  process.exit(1);
}
const worst = (of) => Math.max(...results.map(of)).toFixed(1);
const scores = results.map(({ score }) => score.toFixed(score < 100 ? 2 : 0)).join(', ');
console.log(
  `\n| ${[`${worst(({ wall }) => wall)} s`, `${worst(({ processor }) => processor)} s`, scores, commit(), machine(), values.who].join(' | ')} |`,
);

function commit() {
  const git = (...args) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '-uno') ? ' and changes' : ''}`;
}

/** The processor, what `heed doctor` measures of it, and how busy it was. */
function machine() {
  const heed = fileURLToPath(new URL('../../bin/heed.js', import.meta.url));
  const [, gflops] = /(\d+) GFLOPS/.exec(execFileSync(process.execPath, [heed, 'doctor'], { encoding: 'utf8' })) ?? [];
  return `${cpus()[0]?.model.trim()}, ${availableParallelism()} threads, ${gflops ?? '?'} GFLOPS, load ${loadavg()[0].toFixed(0)}`;
}
