/** Runs for pictures of the studio: numbers, answers and clips as trainings write them. */
import { join } from 'node:path';
import { makeEnvironment, random } from '../dist/env/index.js';
import { createRun } from '../dist/run/index.js';

const prompts = ['The film was', 'Nobody expected', 'For all its faults,', 'The ending'];
const ends = [
  ['a waste of two hours and a good cast.', 'long, loud and soon forgotten.'],
  ['fine, if one has seen no other.', 'a slow start that finds its feet.'],
  ['a joy from its first shot to its last.', 'warm, funny and wonderfully played.'],
];

/** Two trainings of a language model and one from compared clips; the last one stays open, as if it were running. */
export function fillRuns(folder) {
  const runs = [
    ['ppo-kl-0.05', { kl: { coefficient: 0.05 }, learningRate: 1e-5, batch: 32 }, 1],
    ['ppo-kl-0.2', { kl: { coefficient: 0.2 }, learningRate: 1e-5, batch: 32 }, 2],
  ].map(([name, config, seed]) => language(join(folder, name), name, config, seed));
  runs[0].close();
  control(join(folder, 'cartpole-from-clips'));
  return runs[1];
}

function language(path, name, config, seed) {
  const rng = random(seed);
  const run = createRun(path, { name, command: 'ppo', config: { ...config, steps: 600 }, seed });
  const drift = config.kl.coefficient < 0.1 ? 1.6 : 1;
  for (let step = 0; step <= 400; step++) {
    const learned = 1 - Math.exp(-step / 120);
    const tell = (value, noise) => value + noise * rng.normal();
    run.log(step, {
      'reward/mean': tell(-0.4 + 1.9 * learned * drift ** 0.3, 0.18),
      'kl/mean': Math.max(0.001, tell(6 * learned * drift, 0.5)),
      'loss/policy': tell(-0.02, 0.012),
      'loss/value': Math.max(0.02, tell(0.6 * Math.exp(-step / 90) + 0.12, 0.04)),
      'policy/entropy': tell(2.9 - 0.9 * learned * drift ** 0.5, 0.07),
      'policy/clipfrac': Math.max(0, tell(0.08, 0.025)),
      tokens: step * 1900,
    });
    if (step % 20 !== 0) continue;
    const spread = (mean, deviation) => Array.from({ length: 64 }, () => mean + deviation * rng.normal());
    const of = {
      reward: spread(-0.4 + 1.9 * learned, 0.7 - 0.3 * learned),
      kl: spread(6 * learned * drift, 0.4 + learned),
      length: spread(30 + 8 * learned, 6).map(Math.round),
    };
    run.sample({ kind: 'spread', step, of });
    for (const [index, prompt] of prompts.entries()) {
      const choices = ends[Math.min(2, Math.floor(3 * learned))];
      const text = choices[(index + seed) % 2];
      run.sample({ kind: 'completion', step, index, prompt, text, reward: of.reward[index], kl: of.kl[index] });
    }
  }
  if (drift > 1) {
    const text = 'kl/mean is 9.6, above 9: the policy is far from the reference. Try a higher --kl.coefficient.';
    run.sample({ kind: 'alert', step: 380, metric: 'kl/mean', value: 9.6, text });
  }
  return run;
}

/** Clips of a pole that is held up ever longer. */
function control(path) {
  const environment = makeEnvironment('CartPole-v1');
  const rng = random(3);
  const run = createRun(path, { name: 'cartpole', command: 'train', config: { env: 'CartPole-v1' }, seed: 3 });
  const clip = (skill) => {
    const frames = [];
    const observation = new Float32Array(4);
    environment.reset(rng.integer(1e6), observation);
    for (let i = 0; i < 60; i++) {
      frames.push(environment.frame());
      const wise = observation[2] + 0.5 * observation[3] > 0 ? 1 : 0;
      const action = rng.uniform() < skill ? wise : rng.integer(2);
      if (environment.step([action], observation).terminated) break;
    }
    return frames;
  };
  for (let label = 1; label <= 24; label++) {
    const [first, second] = [clip(label / 30), clip(label / 30)];
    const step = label * 2048;
    const choice = first.length >= second.length ? [1, 0] : [0, 1];
    run.log(step, { 'return/mean': 20 + label * 18, labels: label });
    const returns = [first.length, second.length];
    run.sample({
      kind: 'comparison',
      id: `${label}`,
      step,
      label,
      first,
      second,
      framesPerSecond: 30,
      choice,
      predicted: 0.6,
      returns,
    });
  }
  run.close();
}
