/** The learning curves of bench/results/algorithms.jsonl, drawn for the algorithms' pages (see rates.test.ts). */
import { curves } from './curves.js';
import { mean, readLines } from './kept.js';

/** Curves of several seeds, [step, value][], by algorithm. */
export function readAlgorithms(path) {
  const found = new Map();
  for (const { key, curve } of readLines(path)) {
    if (curve) found.set(key.name, [...(found.get(key.name) ?? []), curve]);
  }
  return found;
}

const REWARD = { yLabel: 'true reward of completions', range: [2, 6] };
const RETURN = { yLabel: 'return of greedy episodes' };
const cartPole = { ...RETURN, range: [0, 500], xLabel: 'steps in CartPole-v1' };
const pendulum = { ...RETURN, range: [-1600, 0], xLabel: 'steps in Pendulum-v1' };

/** The pictures, by name: of which algorithms, and their axes. */
export const pictures = {
  ppo: { of: { ppo: 'PPO' }, ...cartPole },
  a2c: { of: { a2c: 'A2C' }, ...cartPole },
  trpo: { of: { trpo: 'TRPO' }, ...cartPole },
  sac: { of: { sac: 'SAC' }, ...pendulum },
  pebble: { of: { pebble: 'PEBBLE', sac: 'SAC' }, ...pendulum },
  preferences: { of: { preferences: 'preferences' }, ...cartPole },
  'ppo-language': { of: { 'ppo-language': 'PPO' }, ...REWARD },
  grpo: { of: { grpo: 'GRPO' }, ...REWARD },
  'online-dpo': { of: { 'online-dpo': 'online DPO' }, ...REWARD },
  reinforce: { of: { rloo: 'RLOO', reinforce: 'REINFORCE', raft: 'RAFT', rest: 'ReST' }, ...REWARD },
  dpo: { of: { dpo: 'DPO' }, ...REWARD },
  'preference-losses': { of: { orpo: 'ORPO', simpo: 'SimPO', kto: 'KTO', bco: 'BCO' }, ...REWARD },
};

/** A picture as SVG. */
export function algorithmCurve(trials, name) {
  const { of, xLabel, ...axes } = pictures[name];
  const isShare = xLabel === undefined;
  const lines = Object.entries(of).map(([algorithm, said]) => ({
    name: said,
    points: pointsOf(trials.get(algorithm), isShare),
  }));
  const seeds = Math.min(...Object.keys(of).map((algorithm) => trials.get(algorithm).length));
  const far = Math.max(...lines.flatMap(({ points }) => points.map(({ x }) => x)));
  const said = lines.map(
    ({ name: line, points }) => `${line}: ${points[0].y.toFixed(1)} at first, ${points.at(-1).y.toFixed(1)} at the end`,
  );
  return curves({
    ...axes,
    yLabel: `${axes.yLabel} (${seeds === 1 ? 'one seed' : `band: lowest to highest of ${seeds} seeds`})`,
    title: `Learning curve: ${Object.values(of).join(', ')}`,
    description: `${said.join('; ')}. ${seeds === 1 ? 'One seed' : `Means of ${seeds} seeds`}.`,
    xLabel: xLabel ?? 'share of the training, in %',
    lines,
    marks: isShare ? [0, 25, 50, 75, 100] : [0, ...marksTo(far)],
  });
}

/** The means of several curves, whose points have the same places, nearly. */
function pointsOf(trials, isShare) {
  return trials[0].map((_, i) => {
    const ys = trials.map((curve) => curve[i][1]);
    const xs = trials.map((curve) => (isShare ? (100 * curve[i][0]) / curve.at(-1)[0] : curve[i][0]));
    return { x: mean(xs), y: mean(ys), low: Math.min(...ys), high: Math.max(...ys) };
  });
}

/** Four round numbers, the last at least `far`. */
function marksTo(far) {
  const unit = 10 ** Math.floor(Math.log10(far / 4));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * unit).find((n) => 4 * n >= far);
  return [1, 2, 3, 4].map((n) => n * step);
}
