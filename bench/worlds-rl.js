/** A2C, TRPO and SAC on the true reward, as `heed rl` trains them, beside Stable-Baselines3. */
import { median } from './figures.js';
import { train } from './worlds-train.js';

/** Environment steps a second with an update at each, ours and the peer's in turn. */
async function* sac({ pairs, peer }) {
  const steps = 2_000;
  const measured = [];
  for (let seed = 0; seed < pairs; seed++) {
    const flags = ['--algorithm', 'sac', '--env', 'Pendulum-v1', '--seed', seed, '--steps', steps];
    const ours = await train('rl', [...flags, '--evaluations', 0, '--episodes', 1]);
    const theirs = peer('sb3_rl.py', ...flags);
    measured.push({ ours: ours.stepsPerSecond, theirs: theirs?.stepsPerSecond });
  }
  const both = measured.filter(({ theirs }) => theirs);
  const ratio = both.length > 0 ? median(both.map(({ ours, theirs }) => ours / theirs)) : undefined;
  yield {
    name: 'SAC Pendulum-v1, 256×256, an update a step, steps/s',
    value: median(measured.map(({ ours }) => ours)).toFixed(0),
    target: '≥ SB3',
    note: ratio
      ? `SB3 ${median(both.map(({ theirs }) => theirs)).toFixed(0)}: ${ratio.toFixed(1)}×`
      : 'SB3 not installed',
    measured,
    ratio,
  };
}

/** What the presets reach, and Stable-Baselines3 with the same settings where it has the algorithm. Minutes a seed. */
async function* learned({ seeds, peer }) {
  for (const [algorithm, env, bar, published] of [
    ['a2c', 'CartPole-v1', 475, 'Zoo 500'],
    ['a2c', 'Pendulum-v1', -320, 'Zoo −163, exploring by state'],
    ['trpo', 'CartPole-v1', 475, 'Zoo 500'],
    ['trpo', 'Pendulum-v1', -250, 'Zoo −174'],
    ['sac', 'Pendulum-v1', -200, 'Zoo −157'],
  ]) {
    const [ours, theirs] = [[], []];
    for (let seed = 0; seed < seeds; seed++) {
      const flags = ['--algorithm', algorithm, '--env', env, '--seed', seed, '--evaluations', 0];
      ours.push((await train('rl', flags)).return.mean);
      const other =
        algorithm === 'trpo' ? undefined : peer('sb3_rl.py', '--algorithm', algorithm, '--env', env, '--seed', seed);
      if (other) theirs.push(other.return.mean);
    }
    const shown = (returns) => returns.map((mean) => mean.toFixed(0)).join(', ');
    yield {
      name: `${algorithm.toUpperCase()} ${env}`,
      value: shown(ours),
      target: `≥ ${bar}`,
      note: `${ours.filter((mean) => mean >= bar).length} of ${seeds}; ${theirs.length > 0 ? `SB3 ${shown(theirs)}` : published}`,
      ours,
      theirs,
    };
  }
}

export const worldsRl = { sac, learned };
