/** One training on one runtime, in a process of its own: node site-job.js rl|preferences|sft wasm|native */
import { sft } from '../dist/align/index.js';
import { startEngine } from '../dist/browser/index.js';
import { learnFromPreferences } from '../dist/control/index.js';
import { rl } from '../dist/rl/index.js';

process.env.HEED_THREADS = '1';
const [what, runtime] = process.argv.slice(2);
if (runtime === 'wasm') await startEngine();
const trainings = {
  rl: () => rl({ env: 'CartPole-v1', steps: 20_000, evaluations: 0, episodes: 5 }),
  preferences: () => learnFromPreferences({ steps: 20_000, evaluations: 0, episodes: 5, onNotice() {} }),
  sft: () => sft({ steps: 20, evaluations: 1, demonstrations: 400 }),
};
const began = performance.now();
await trainings[what]();
const seconds = (performance.now() - began) / 1000;
console.log(JSON.stringify({ seconds, perSecond: 1 / seconds }));
