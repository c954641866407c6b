/**
 * A section of the suite `align`: a model of 850,000 parameters that learns to use a tool, from nothing
 * (examples/agent-from-nothing.js). Held-out success before and after GRPO, by seed.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SEEDS = 3;
const root = fileURLToPath(new URL('..', import.meta.url));
export function* agents({ seeds }) {
  for (let seed = 0; seed < Math.min(seeds, SEEDS); seed++) {
    const args = ['examples/agent-from-nothing.js', '--seed', String(seed)];
    const { status, stdout } = spawnSync(process.execPath, args, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) throw new Error(`examples/agent-from-nothing.js ended with ${status}`);
    const lines = stdout.trim().split('\n');
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
    yield {
      name: `agents: calculator, held-out success, seed ${seed}`,
      value: `${percent(figures.before)} → ${percent(figures.after)}`,
      target: '≤ 20 % → ≥ 90 % in ≤ 10 minutes',
      note: [
        `GRPO ${figures.minutes.toFixed(1)} minutes, ${steps} steps, ${tokens} tokens`,
        reached ? `90 % at step ${/GRPO (\d+)/.exec(reached)[1]}` : '90 % not reached',
        `supervised stages before: ${minutes(before)} minutes`,
      ].join('; '),
      figures,
    };
  }
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
