/** heed sweep and heed ablate as whole commands. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { call, ownFolder, resultsOf, start, startKilledAt } from './support/heed.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const results = (run: string) => resultsOf(at(run));
/** Ends a process that trains a cell, as its lock tells; false if none does at the moment. */
const endWorker = (run: string): boolean => {
  try {
    const [cell] = readdirSync(at(run, 'cells'));
    return process.kill(JSON.parse(readFileSync(at(run, 'cells', cell, 'lock'), 'utf8')).pid, 'SIGKILL');
  } catch {
    return false; // no cell has begun, or it has just ended
  }
};

const small = [
  ...['--steps', '1280', '--random-steps', '256', '--episodes', '2', '--target', '20', '--seeds', '2'],
  ...['--ppo.environments', '4', '--ppo.minibatch', '64', '--ppo.epochs', '2', '--segment.window', '10'],
  ...['--schedule.rounds', '3', '--schedule.until', '0.7', '--reward.first-steps', '10', '--reward.steps', '5'],
];
const sweep = ['sweep', ...small, '--vary', 'query.rule=random', '--labels', '4,8'];

it('sweeps; with a worker killed, then killed itself and gone on with, it comes to the same', async () => {
  const whole = await call([...sweep, '--jobs', '1', '--out', 'whole', '--json'], folder.path);
  expect(whole).toMatchObject({ code: 0 });
  const { variants, target } = lastLine(whole.stdout);
  expect(target).toBe(20);
  expect(variants.map(({ variant }: { variant: string }) => variant)).toEqual(['preset', 'query.rule=random']);
  for (const { outcomes } of variants) {
    expect(outcomes).toMatchObject([
      { labels: 4, seeds: 2 },
      { labels: 8, seeds: 2 },
    ]);
  }
  const report = readFileSync(at('whole', 'report.html'), 'utf8');
  for (const text of ['Labels needed', 'query.rule=random']) expect(report).toContain(text);
  expect(existsSync(at('whole', 'cells'))).toBe(false);

  const args = [...sweep, '--jobs', '2', '--out', 'killed', '--checkpoint-seconds', '0'];
  const killed = startKilledAt(30, args, folder.path);
  const workerEnds = vi.waitUntil(() => endWorker('killed'), { timeout: 600_000, interval: 5 });
  await Promise.all([workerEnds, killed.end]);
  expect(results('killed').length).toBeLessThan(8);
  expect((await call(['report', 'killed'], folder.path)).code).toBe(0); // of what is known so far
  expect(await call(['sweep', '--resume', 'killed'], folder.path)).toMatchObject({ code: 0 });
  expect(results('killed')).toEqual(results('whole'));
});

it('trains a cell again whose worker was killed, once', async () => {
  const few = [...sweep.filter((flag) => flag !== '4,8'), '4', '--jobs', '1', '--checkpoint-seconds', '0'];
  const running = start([...few, '--out', 'once', '--json'], folder.path);
  await vi.waitUntil(() => endWorker('once'), { timeout: 600_000, interval: 5 });
  expect(await running.end).toMatchObject({ code: 0 });
  expect(results('once')).toEqual(results('whole').filter(({ labels }) => labels === 4));
});

it('ablates, and stops with checkpoints on Ctrl-C', async () => {
  const args = ['ablate', ...small, '--labels', '8', '--evaluations', '2', '--seeds', '1', '--out', 'parts'];
  const stopped = start([...args, '--jobs', '2'], folder.path);
  await stopped.says('trained');
  stopped.child.kill('SIGINT');
  const { code, stderr } = await stopped.end;
  if (code !== 0) {
    expect({ code, stderr }).toMatchObject({
      code: 130,
      stderr: expect.stringContaining('heed ablate --resume parts'),
    });
  }
  const { code: gone, stdout } = await call(['ablate', '--resume', 'parts', '--json'], folder.path);
  expect(gone).toBe(0);
  const { curves } = lastLine(stdout);
  expect(curves.map(({ variant }: { variant: string }) => variant)).toEqual([
    'the whole method',
    'random queries',
    'no ensemble',
    'no online queries',
    'no regularization',
    'no segments',
    'target',
    'true reward',
  ]);
  for (const { steps, mean, seeds } of curves) {
    expect({ seeds, first: steps[0], last: steps.at(-1), points: mean.length }).toEqual({
      ...{ seeds: 1, first: 0, last: 1280, points: 3 },
    });
  }
  const page = readFileSync(at('parts', 'report.html'), 'utf8');
  for (const text of ['Learning curves', 'no segments', 'true reward']) expect(page).toContain(text);
  expect(readdirSync(at('parts'))).not.toContain('cells');
});

it('says what is wrong before it trains, and which training failed', async () => {
  const bad = await call(['sweep', '--vary', 'reward.member=3'], folder.path);
  expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining('names no setting') });
  const none = await call(['sweep', '--env', 'Pendulum-v1'], folder.path);
  expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('--target') });
  const failing = [
    ...['--vary', 'query.rule=random', '--vary', 'ppo.minibatch=7'],
    ...['--labels', '4', '--seeds', '1', '--jobs', '1', '--out', 'failing'],
  ];
  const { code, stderr } = await call(['sweep', ...small, ...failing], folder.path);
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('"ppo.minibatch=7, 4 labels, seed 0"'),
  });
  expect(results('failing').map(({ variant }) => variant)).toEqual(['preset', 'query.rule=random']);
});
