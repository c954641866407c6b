/**
 * A section of the suite `align`: models of 850,000 parameters that learn tasks of agents from nothing
 * (examples/agent-from-nothing.js), and one that learns as the model of an agent made with the AI SDK
 * (examples/sql-agent.js). Success on held-out tasks before and after GRPO, by seed.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inTemporaryFolder } from './sides.js';

const SEEDS = 3;
const root = fileURLToPath(new URL('..', import.meta.url));

export function* agents({ seeds }) {
  for (const task of ['calculator', 'sql', 'guess']) {
    for (let seed = 0; seed < Math.min(seeds, SEEDS); seed++) yield fromNothing(task, seed);
  }
  yield* inTemporaryFolder(function* (folder) {
    yield existingAgent(folder);
  });
}

/** Runs a program of the repository with Node; its output. */
function run(...args) {
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}`);
  return stdout.trim();
}

function fromNothing(task, seed) {
  const lines = run('examples/agent-from-nothing.js', '--task', task, '--seed', String(seed)).split('\n');
  const heldOut = (line) => Number(/held out ([\d.]+)/.exec(line)[1]);
  const minutes = (line) => Number(/^([\d.]+) min/.exec(line)[1]);
  const learned = lines.filter((line) => line.includes('GRPO'));
  const [before, after] = [lines[lines.indexOf(learned[0]) - 1], learned.at(-1)];
  const [steps, tokens] = [/GRPO (\d+)/.exec(after)[1], /(\d+) tokens/.exec(after)[1]];
  const reached = learned.find((line) => heldOut(line) >= 0.9);
  const figures = {
    ...{ seed, before: heldOut(before), after: heldOut(after), steps: Number(steps), tokens: Number(tokens) },
    minutes: minutes(after) - minutes(before),
  };
  return {
    name: `agents: ${task}, held-out success, seed ${seed}`,
    value: `${percent(figures.before)} → ${percent(figures.after)}`,
    target: '≤ 30 % → ≥ 90 % in ≤ 10 minutes',
    note: [
      `GRPO ${figures.minutes.toFixed(1)} minutes, ${steps} steps, ${tokens} tokens`,
      reached ? `90 % at step ${/GRPO (\d+)/.exec(reached)[1]}` : '90 % not reached',
      `supervised stages before: ${minutes(before)} minutes`,
    ].join('; '),
    figures,
  };
}

/** The commands of docs/how-to/train-an-existing-agent.md. */
function existingAgent(folder) {
  const [model, tasks, out] = ['careless', 'sql', 'run'].map((name) => join(folder, name));
  run('examples/agent-from-nothing.js', '--task', 'sql', '--steps', '0', '--out', model);
  run('examples/sql-files.js', tasks);
  const settings = {
    ...{ model, out, agent: 'examples/sql-agent.js {file} {question}', reward: 'examples/agent-score.js' },
    ...{ tasks: join(tasks, 'tasks.jsonl'), 'evaluation.data': join(tasks, 'held-out.jsonl') },
    ...{ steps: 30, batch: 8, completions: 8, learningRate: 5e-4, schedule: 'linear', beta: 0, maxKl: 0 },
    ...{ maxTokens: 40, 'episode.turns': 4, 'episode.tokens': 160, evaluations: 1 },
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { reward, seconds, measures } = JSON.parse(run('bin/heed.js', 'grpo', ...flags, '--json'));
  return {
    name: 'agents: an agent made with the AI SDK, SQL, held-out success',
    value: `${percent(reward.before)} → ${percent(reward.after)}`,
    target: 'improves without a changed line',
    note: `${settings.steps} steps of ${settings.batch} × ${settings.completions} episodes, ${(seconds / 60).toFixed(1)} minutes`,
    figures: { before: reward.before, after: reward.after, minutes: seconds / 60, measures },
  };
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
