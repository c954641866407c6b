/**
 * The figures of bench/results/oversight.jsonl that docs/explanation/what-it-does-not-solve.md shows (see rates-in-docs.js),
 * and its picture. test/rates.test.ts compares or writes them.
 */
import { curves } from './curves.js';
import { mean, readLines } from './kept.js';

/** The share of right judgments and of held-out pairs that the reward model gets right: by trial, over seeds. */
export function readOversight(path) {
  const trials = new Map();
  for (const { key, judgments, reward, learned, tested } of readLines(path)) {
    const { seed: _, ...trial } = key;
    const name = JSON.stringify(trial);
    const found = trials.get(name) ?? { ...trial, judgments: [], reward: [], learned, tested };
    found.judgments.push(judgments);
    found.reward.push(reward);
    trials.set(name, found);
  }
  return [...trials.values()];
}

/** Mean of values over seeds with its 95 % interval, in %. */
function estimate(values) {
  const middle = mean(values);
  const variance = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
  const half = 1.96 * Math.sqrt(variance / values.length);
  return { y: 100 * middle, low: 100 * (middle - half), high: 100 * (middle + half) };
}

/** What each mark stands for. */
export function oversightFigures(trials) {
  const find = (judge, check, precision) => {
    const found = trials.find(
      (trial) =>
        trial.judge === judge.replaceAll('_', ' ') &&
        trial.check === (check && Number(check)) &&
        trial.precision === (precision && Number(precision)),
    );
    if (!found) throw new Error(`no result of ${judge} ${check} ${precision}`);
    return found;
  };
  const percent = (values) => estimate(values).y.toFixed(0);
  return {
    judgments: (...names) => percent(find(...names).judgments),
    reward: (...names) => percent(find(...names).reward),
  };
}

/** The reward model by the critic's precision: help that is believed, help that is checked, and no help. SVG. */
export function oversightCurve(trials) {
  const points = (check) =>
    trials
      .filter((trial) => trial.judge === 'helped' && trial.check === check)
      .map(({ precision, reward }) => ({ x: 100 * precision, ...estimate(reward) }))
      .sort((a, b) => a.x - b.x);
  const alone = estimate(trials.find(({ judge }) => judge === 'alone').reward);
  const lines = [
    { name: 'checks half', points: points(0.5) },
    { name: 'believes all', points: points(0) },
    { name: 'no help', points: points(0).map(({ x }) => ({ x, ...alone })) },
  ];
  const said = lines.map(
    ({ name, points }) => `${name}: ${points.map(({ x, y }) => `${y.toFixed(0)} % at ${x} %`).join(', ')}`,
  );
  return curves({
    title: 'Held-out pairs that the reward model gets right, by the precision of the critic',
    description: `${said.join('; ')}. Bands are 95 % intervals over ten seeds.`,
    xLabel: 'precision of the critic, in %',
    yLabel: 'right by the reward model, in % (bands: 95 % intervals)',
    range: [75, 100],
    lines,
  });
}
