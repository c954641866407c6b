/**
 * A section of the suite `align`: GRPO with a calculator that takes 0.2 to 1 s for each call, synchronous and with
 * episodes that run ahead of the policy. The model is that of examples/agent-from-nothing.js before GRPO. By itself, on
 * a model that was made earlier:
 *
 *   node bench/align-rollouts.js --model FOLDER [--staleness 0] [--minutes 2] [--seed 0] [--steps 1000]
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { inTemporaryFolder } from './sides.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const LEARNING = { batch: 16, completions: 8, learningRate: 5e-4, beta: 0, maxKl: 0, evaluations: 0 };
const PLAY = { maxTokens: 24 };

/** One training: its figures. */
async function train({ model: folder, staleness, minutes, seed, steps }) {
  const { createGrpo } = await import('../dist/align/parts.js');
  const { calculatorTasks, evaluateTasks } = await import('../dist/align/index.js');
  const { loadModel } = await import('../dist/lm/index.js');
  const { random, seedFor } = await import('../dist/random.js');
  const model = await loadModel(folder);
  const tasks = calculatorTasks({ seed });
  const make = () => {
    const environment = tasks.make();
    let draws;
    return {
      ...environment,
      reset(task, own, signal) {
        draws = random(seedFor(own, 'delay'));
        return environment.reset(task, own, signal);
      },
      async step(turn, signal) {
        if (turn.calls.length > 0) await new Promise((resolve) => setTimeout(resolve, 200 + 800 * draws.uniform()));
        return environment.step(turn, signal);
      },
    };
  };
  const atOnce = LEARNING.batch * LEARNING.completions * (staleness + 1);
  const play = { ...PLAY, episode: { turns: 4, tokens: 96, atOnce } };
  const learner = await createGrpo({
    ...{ ...LEARNING, ...play, model, seed, steps, env: { ...tasks, make } },
    ...{ generate: { batch: atOnce }, rollouts: { staleness } },
  });
  const began = performance.now();
  const [idle, ages, rewards, capped] = [[], [], [], []];
  let [tokens, last] = [0, undefined];
  for (let done = false; !done && performance.now() - began < 60_000 * minutes; ) {
    const step = await learner.next();
    ({ done } = step);
    last = step.metrics;
    tokens = last.tokens;
    idle.push(step.idle);
    ages.push(last['rollouts/staleness'] ?? 0);
    capped.push(last['rollouts/capped'] ?? 0);
    rewards.push(last['reward/mean']);
  }
  const seconds = (performance.now() - began) / 1000;
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const heldOut = await evaluateTasks(model, tasks, { ...play, seed, batch: 64 });
  const reached = rewards.findIndex((reward) => reward >= 0.9);
  const figures = {
    ...{ staleness, seed, seconds, steps: rewards.length, tokens, tokensPerSecond: tokens / seconds },
    ...{ idle: mean(idle), age: mean(ages), capped: mean(capped) },
    ...{ first: rewards[0], last: mean(rewards.slice(-3)), heldOut: heldOut.reward },
    reached90: reached < 0 ? null : (seconds * (reached + 1)) / rewards.length,
  };
  learner[Symbol.dispose]();
  return figures;
}

/** Synchronous, and one and two updates ahead. */
export function* rollouts({ seeds }) {
  yield* inTemporaryFolder(function* (folder) {
    const made = run(['examples/agent-from-nothing.js', '--steps', '1', '--out', join(folder, 'model')]);
    if (made.status !== 0) throw new Error(`examples/agent-from-nothing.js ended with ${made.status}`);
    for (const staleness of [0, 1, 2]) {
      for (let seed = 0; seed < Math.min(seeds, 3); seed++) {
        const args = ['bench/align-rollouts.js', '--model', join(folder, 'model'), '--staleness', String(staleness)];
        const { status, stdout } = run([...args, '--seed', String(seed), '--minutes', '2']);
        if (status !== 0) throw new Error(`bench/align-rollouts.js ended with ${status}`);
        const figures = JSON.parse(stdout);
        yield {
          name: `agents: tools of 0.2 to 1 s, staleness ${staleness}, seed ${seed}, held-out success after 2 minutes`,
          value: percent(figures.heldOut),
          target: 'staleness 1 above 0',
          note: [
            `${figures.steps} steps, ${figures.tokensPerSecond.toFixed(0)} tokens/s, idle ${percent(figures.idle)}`,
            `age ${figures.age.toFixed(2)} updates, capped ${percent(figures.capped)}`,
            figures.reached90 === null ? '90 % not reached' : `90 % after ${figures.reached90.toFixed(0)} s`,
          ].join('; '),
          figures,
        };
      }
    }
  });
}

const run = (args) =>
  spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const percent = (share) => `${(100 * share).toFixed(1)} %`;

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      model: { type: 'string' },
      staleness: { type: 'string', default: '0' },
      minutes: { type: 'string', default: '2' },
      seed: { type: 'string', default: '0' },
      steps: { type: 'string', default: '1000' },
    },
  });
  const { model, ...numbers } = values;
  const given = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Number(value)]));
  console.log(JSON.stringify(await train({ model, ...given })));
}
