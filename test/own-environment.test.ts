/** An environment of somebody's own that goes wrong after it was loaded. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { call, ownFolder, start } from './support/heed.ts';

const folder = ownFolder();

/** A walk on a line; `late` is what its step does once the training has gone on for a while. */
function write(name: string, late: string): void {
  const text = `let steps = 0;
    export default () => {
      let t = 0;
      return {
        id: 'Walk',
        observationSpace: { kind: 'box', low: Float32Array.of(-1), high: Float32Array.of(1) },
        actionSpace: { kind: 'discrete', n: 2 },
        maxEpisodeSteps: 12,
        framesPerSecond: 10,
        reset: (seed, seen) => { t = 0; seen[0] = 0; },
        step([go], seen) {
          if (++steps > 3000) { ${late} }
          seen[0] = go / 2;
          return { reward: go, terminated: false, truncated: ++t === 12 };
        },
        frame: () => ({ width: 1, height: 1, shapes: [] }),
      };
    };`;
  writeFileSync(join(folder.path, name), text);
}

const small = ['--episodes', '2', '--evaluations', '0', '--steps', '20000'];

it('an error is named with its place, and how to go on', async () => {
  write('late.mjs', "throw new Error('sensor lost late');");
  const flags = [
    '--labels',
    '6',
    '--random-steps',
    '500',
    '--schedule.rounds',
    '2',
    '--segment.memory',
    '1000',
    '--json',
  ];
  const { code, stderr } = await call(['train', '--env', './late.mjs', ...small, ...flags], folder.path);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /The run stopped in the batch after step [\d,]+: the environment "\.\/late\.mjs" threw at step [\d,]+ \(episode \d+ of copy \d+, step \d+\): sensor lost late/,
  );
  expect(stderr).toMatch(/fix the environment.*heed train --resume runs\/\d+-\d+-Walk continues from there/);
  // its episodes are shorter than a segment usually is
  expect(stderr).toContain('Segments have 12 steps');
});

it('a step that never returns ends with Ctrl-C', async () => {
  write('hang.mjs', "process.stderr.write('hanging'); for (;;);");
  const { child, says, end } = start(['rl', '--env', './hang.mjs', ...small], folder.path);
  await says('hanging');
  const ended = vi.waitUntil(
    () => {
      child.kill('SIGINT'); // the first ones are for a step that might still return
      return child.signalCode;
    },
    { timeout: 600_000, interval: 500 },
  );
  expect(await ended).toBe('SIGINT');
  expect((await end).code).toBeNull();
});
