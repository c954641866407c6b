import { expect, it } from 'vitest';
import { numbers, runExample } from './support/example.ts';

it('preferences teaches an agent, whose reward knows a fall', async () => {
  const printed = await runExample('preferences.ts');
  const returns = numbers(printed, /return ([\d.]+)/g);
  expect(returns).toHaveLength(5);
  expect(returns.at(-1)).toBeGreaterThan(returns[0]);
  expect(numbers(printed, /held-out accuracy ([\d.]+)/g)[0]).toBeGreaterThan(0.8);
});

it('own-teacher teaches what a function prefers', { tags: 'proof' }, async () => {
  const printed = await runExample('own-teacher.ts');
  expect(printed).toContain('60 labels');
  const [[left], [right]] = [numbers(printed, /left (-?[\d.]+)/g), numbers(printed, /right (-?[\d.]+)/g)];
  expect(right).toBeGreaterThan(left);
});

it('own-environment is learned', async () => {
  const printed = await runExample('own-environment.ts');
  expect(numbers(printed, /return (-?[\d.]+)/g)[0]).toBeGreaterThan(-20); // standing still comes to −50
  expect(printed).toContain('at -1: 2, at 1: 0');
});

it('load-and-act lives an episode by a policy that was saved', async () => {
  expect(numbers(await runExample('load-and-act.ts'), /return (\d+)/g)[0]).toBeGreaterThan(100);
});

it('train-minimal learns in a file of less than 300 lines, without heed’s loop', async () => {
  const printed = await runExample('train-minimal.ts', { lines: 300, args: ['--steps', '20000', '--seed', '3'] });
  const returns = numbers(printed, /true return ([\d.]+)/g);
  expect(returns[0]).toBeLessThan(60);
  expect(returns.at(-1)).toBeGreaterThan(150);
  expect(printed).toContain('labels 40');
});

for (const [task, steps] of Object.entries({ sql: 1, calculator: 0, guess: 0 })) {
  const tags = steps > 0 ? [] : ['proof']; // one task shows the way of all
  it(`agent-from-nothing makes a model for ${task}, teaches it, and measures it on held-out tasks`, {
    tags,
  }, async () => {
    const short = ['--drills', '1', '--demonstrations', '1', '--episodes', '8'];
    const args = ['--task', task, '--steps', String(steps), ...short];
    const printed = await runExample('agent-from-nothing.js', { lines: 120, args });
    const success = numbers(printed, /held out ([\d.]+)/g);
    expect(success).toHaveLength(2 + steps);
    expect(Math.max(...success)).toBeLessThan(0.3); // npm run bench -- align --only agents learns it
    if (steps > 0) expect(printed).toMatch(/GRPO 1: reward [\d.]+, calls [\d.]+, \d+ tokens/);
  });
}
