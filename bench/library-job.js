/** node bench/library-job.js VERB: trains with a verb, and measures for how long its thread gives no turn to others. */
import { existsSync, readFileSync } from 'node:fs';
import * as align from '../dist/align/index.js';
import { learnFromPreferences, pebble } from '../dist/control/index.js';
import { rl } from '../dist/rl/index.js';

const places = ['gravy', 'castle', 'gate', 'dome', 'circus', 'honey'];
const pairs = Array.from({ length: 96 }, (_, i) => ({
  prompt: `the ${places[i % places.length]} was`,
  chosen: ' brilliant .',
  rejected: ' filthy .',
}));
const prompts = pairs.map(({ prompt }) => ({ prompt }));
const shown = pairs.map(({ prompt, chosen }) => ({ prompt, completion: chosen }));
const rated = pairs.flatMap(({ prompt, chosen, rejected }) => [
  { prompt, completion: chosen, label: true },
  { prompt, completion: rejected, label: false },
]);
const steps = pairs.map(({ prompt, chosen, rejected }) => ({
  prompt,
  completions: [chosen, rejected],
  labels: [true, false],
}));
const reward = (completions) => completions.map(({ text }) => -text.length);
const small = { model: 'reviews-base', steps: 4 };
const policy = { ...small, data: prompts, reward, maxTokens: 16 };

export const verbs = {
  sft: () => align.sft({ ...small, data: shown }),
  pretrain: () =>
    align.pretrain({ data: pairs.map(({ prompt, chosen }) => ({ text: prompt + chosen })), tokens: 4000 }),
  distill: () => align.distill({ ...small, teacher: 'reviews-base', data: shown }),
  reward: () => align.reward({ model: 'reviews-base', data: pairs, epochs: 1, batch: 24 }),
  dpo: () => align.dpo({ ...small, data: pairs }),
  orpo: () => align.orpo({ ...small, data: pairs }),
  cpo: () => align.cpo({ ...small, data: pairs }),
  kto: () => align.kto({ ...small, data: rated }),
  bco: () => align.bco({ ...small, data: rated }),
  onlineDpo: () => align.onlineDpo(policy),
  ppo: () => align.ppo(policy),
  grpo: () => align.grpo(policy),
  reinforce: () => align.reinforce(policy),
  rloo: () => align.rloo(policy),
  raft: () => align.raft(policy),
  pareto: () => align.pareto({ ...policy, against: (all) => all.map(({ text }) => text.length), weights: [0.5] }),
  processSupervision: () => align.processSupervision({ model: 'reviews-base', data: steps, epochs: 1, batch: 24 }),
  constitution: () => align.constitution({ model: 'reviews-chat', data: prompts.slice(0, 8), maxTokens: 8 }),
  bestOfN: () => align.bestOfN({ model: 'reviews-base', data: prompts, reward, maxTokens: 16 }),
  evaluatePolicy: () =>
    align.evaluatePolicy({ model: 'reviews-base', baseline: 'reviews-base', data: prompts, reward, maxTokens: 16 }),
  rl: () => rl({ env: 'CartPole-v1', steps: 8192 }),
  a2c: () => rl({ env: 'CartPole-v1', algorithm: 'a2c', steps: 8192 }),
  trpo: () => rl({ env: 'CartPole-v1', algorithm: 'trpo', steps: 8192 }),
  sac: () => rl({ env: 'Pendulum-v1', algorithm: 'sac', steps: 600, evaluations: 1, episodes: 4 }),
  learnFromPreferences: () => learnFromPreferences({ env: 'CartPole-v1', steps: 12_000, labels: 40, onNotice() {} }),
  pebble: () => pebble({ env: 'Pendulum-v1', steps: 1500, labels: 10, evaluations: 1, episodes: 4, onNotice() {} }),
};

// on a busy machine, the thread's own time says more than the clock's
const scheduled = `/proc/self/task/${process.pid}/schedstat`;
const now = existsSync(scheduled)
  ? () => Number(readFileSync(scheduled, 'utf8').split(' ')[0]) / 1e6
  : () => performance.now();

async function measured(training) {
  let [longest, over, steps, last, running] = [0, 0, 0, now(), true];
  const turn = () => {
    const gap = now() - last;
    longest = Math.max(longest, gap);
    if (gap > 50) over++;
    last = now();
    if (running) setTimeout(turn, 1);
  };
  turn();
  const before = process.cpuUsage();
  for await (const _ of training) steps++;
  await training;
  running = false;
  const { user, system } = process.cpuUsage(before);
  return { longest: Math.round(longest), over, steps, cpuMs: Math.round((user + system) / 1000) };
}

const verb = verbs[process.argv[2]];
if (verb) {
  console.log(JSON.stringify(await measured(verb())));
  process.exit(0);
}
