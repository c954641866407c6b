/** Trainings whose model is at `heed serve --tinker`: what they learn, and what a killed server costs. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { path } from './sides.js';

export const tinker = { sections: { world, kill } };

const heed = path('../bin/heed.js');
const PORT = 27_420;

/** A server of the embedded model with its files in a folder, once it answers. */
async function startServer(folder) {
  const server = spawn(
    process.execPath,
    [heed, 'serve', '--tinker', '--model', 'reviews-base', '--folder', folder, '--port', PORT],
    { stdio: 'ignore' },
  );
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${PORT}/api/v1/healthz`).catch(() => undefined);
    if (response?.ok) return server;
    if (server.exitCode !== null) throw new Error('heed serve --tinker did not start');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const REMOTE = ['--backend', `tinker:http://127.0.0.1:${PORT}`];

/** Arguments of a training in the embedded world. */
const training = (command, steps, seed, out) => [
  ...[command, '--model', 'reviews-base', '--steps', steps, '--seed', seed, '--evaluations', 1, '--out', out],
  ...['--lora.rank', 16, '--checkpointSeconds', 0, '--keepBest', 'false'],
];
const metrics = (folder) =>
  readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => ({ ...JSON.parse(line), time: 0 }));
const run = (args) => {
  const { status, stderr } = spawnSync(process.execPath, [heed, ...args.map(String)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
};

/** GRPO and RLOO on the embedded world, there and here, from the same seeds. */
async function* world({ seeds }) {
  const place = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  const server = await startServer(join(place, 'serve'));
  try {
    for (const command of ['grpo', 'rloo']) {
      const ends = { there: [], here: [] };
      for (let seed = 1; seed <= Math.min(3, seeds); seed++) {
        for (const [side, more] of Object.entries({ there: REMOTE, here: ['--lora.alpha', 32] })) {
          const out = join(place, `${command}-${side}-${seed}`);
          run([...training(command, 20, seed, out), ...more]);
          const rows = metrics(out).filter((row) => 'eval/reward' in row);
          ends[side].push([rows[0]['eval/reward'], rows.at(-1)['eval/reward']]);
        }
      }
      const mean = (side, at) => ends[side].reduce((sum, own) => sum + own[at], 0) / ends[side].length;
      yield {
        name: `${command}: the true reward after 20 steps at a service`,
        value: mean('there', 1).toFixed(3),
        target: `> ${mean('there', 0).toFixed(3)}, that of the initial model`,
        note: `trained here: ${mean('here', 1).toFixed(3)}; seeds ${ends.there.map((own) => own[1].toFixed(3)).join(', ')}`,
      };
    }
  } finally {
    server.kill('SIGKILL');
    await once(server, 'exit');
    rmSync(place, { recursive: true, force: true });
  }
}

/** The server is killed in the middle of a training, and started again: the run says so, and resumes as if it had not. */
async function* kill() {
  const place = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  const folder = join(place, 'serve');
  let server = await startServer(folder);
  try {
    const [whole, broken] = ['whole', 'broken'].map((name) => join(place, name));
    run([...training('grpo', 4, 1, whole), '--batch', 4, ...REMOTE]);
    const args = [...training('grpo', 4, 1, broken), '--batch', 4, ...REMOTE].map(String);
    const client = spawn(process.execPath, [heed, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    client.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    const steps = () => {
      try {
        return metrics(broken).length;
      } catch {
        return 0;
      }
    };
    while (steps() < 3) await new Promise((resolve) => setTimeout(resolve, 50));
    server.kill('SIGKILL');
    await once(server, 'exit');
    server = await startServer(folder);
    const [code] = await once(client, 'exit');
    yield {
      name: 'a server killed and started again: the run ends with',
      value: `exit code ${code}`,
      target: 'exit code 1',
    };
    yield {
      name: 'it says how to go on',
      value: `${said.includes(`--resume ${broken}`)}`,
      target: 'true',
      note: said.trim().split('\n').at(-1).slice(0, 200),
    };
    run(['grpo', '--resume', broken]);
    yield {
      name: 'the resumed run has the metrics of one that was not interrupted',
      value: `${JSON.stringify(metrics(broken)) === JSON.stringify(metrics(whole))}`,
      target: 'true',
    };
  } finally {
    server.kill('SIGKILL');
    rmSync(place, { recursive: true, force: true });
  }
}
