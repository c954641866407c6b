/**
 * A Ray cluster of two nodes with one CPU each, both on this machine: a sweep there against one worker process here, and
 * trainings by TRL. HEED_PYTHON names an interpreter with Ray 2.60 beside it; no other Ray may run here.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { path } from './sides.js';

const heed = path('../bin/heed.js');
const ADDRESS = 'http://127.0.0.1:27411';

/** Measures with two nodes of Ray running. @param measure gets the folder to work in, and runs heed there. */
async function* onRay(measure) {
  const program = join(dirname(process.env.HEED_PYTHON ?? ''), 'ray');
  const place = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  const ray = (...args) =>
    spawn(program, ['start', '--block', '--num-cpus', '1', '--object-store-memory', '80000000', ...args], {
      stdio: 'ignore',
      env: { ...process.env, RAY_USAGE_STATS_ENABLED: '0' },
    });
  const run = (...args) => {
    const began = performance.now();
    const env = { ...process.env, HEED_THREADS: '1' };
    const { status, stdout, stderr } = spawnSync(process.execPath, [heed, ...args], {
      cwd: place,
      encoding: 'utf8',
      env,
    });
    return { status, stdout, stderr, seconds: (performance.now() - began) / 1000 };
  };
  const ports = (n) => ['--dashboard-agent-listen-port', `${27_412 + n}`];
  try {
    ray('--head', '--port', '27410', '--dashboard-port', '27411', '--include-dashboard', 'true', ...ports(0));
    while (run('cluster', 'check', '--address', ADDRESS).status !== 0);
    ray('--address', '127.0.0.1:27410', ...ports(1));
    while (
      !/1 CPUs.*1 CPUs/s.test(spawnSync(process.execPath, [heed, 'cluster', 'check', '--address', ADDRESS]).stdout)
    );
    yield* measure({ place, run });
  } finally {
    spawnSync(program, ['stop', '--force']);
    rmSync(place, { recursive: true, force: true });
  }
}

/**
 * Eight runs of CartPole, one at a time here and two at a time on Ray, and whether they end the same. Ray takes some
 * seconds to start a job, so the runs are long.
 */
const sweep = () =>
  onRay(async function* ({ place, run }) {
    const results = (name) =>
      JSON.stringify(
        readFileSync(join(place, name, 'results.jsonl'), 'utf8')
          .trim()
          .split('\n')
          .map((line) => ({ ...JSON.parse(line), seconds: 0 }))
          .sort((a, b) => (a.key < b.key ? -1 : 1)),
      );
    const args = [
      'sweep',
      '--env',
      'CartPole-v1',
      '--seeds',
      '4',
      '--vary',
      'query.rule=random',
      '--labels',
      '20',
      '--steps',
      '1200000',
    ];
    const on = ['--on', 'ray', '--address', ADDRESS, '--heed', `"${process.execPath}" "${heed}"`];
    const here = run(...args, '--jobs', '1', '--out', 'here');
    const there = run(...args, ...on, '--jobs', '2', '--out', 'there');
    for (const { status, stderr } of [here, there]) if (status !== 0) throw new Error(stderr);
    yield {
      name: 'a sweep of 8 runs on two nodes of Ray, against one worker',
      value: `${(here.seconds / there.seconds).toFixed(2)} × as fast`,
      target: '≥ 1.6 ×',
      note: `${here.seconds.toFixed(0)} s and ${there.seconds.toFixed(0)} s`,
    };
    yield {
      name: 'its results are those from here, bit for bit',
      value: `${results('here') === results('there')}`,
      target: 'true',
    };
  });

/**
 * SFT and DPO of the embedded model by TRL as jobs of the cluster, in a pipeline; HEED_PYTHON needs TRL, too. The fetched
 * models' log-probabilities here and by Transformers, and whether the metrics came while they trained.
 */
const trainers = () =>
  onRay(async function* ({ place, run }) {
    const python = process.env.HEED_PYTHON;
    const says = (role, content) => [{ role, content }];
    const rows = Array.from({ length: 48 }, (_, i) => ({
      prompt: says('user', `Review the inn of street ${i}`),
      chosen: says('assistant', 'The inn is lovely.'),
      rejected: says('assistant', 'The inn is bad.'),
    }));
    const lines = (of) => rows.map((row) => `${JSON.stringify(of(row))}\n`).join('');
    writeFileSync(
      join(place, 'pairs.jsonl'),
      lines((row) => row),
    );
    writeFileSync(
      join(place, 'demos.jsonl'),
      lines(({ prompt, chosen }) => ({ prompt, completion: chosen })),
    );
    const common = { on: 'trl', trainer: { python } };
    const settings = { learningRate: 1e-3, steps: 40, evaluations: 2 };
    const stages = [
      { ...common, command: 'sft', settings: { ...settings, data: 'demos.jsonl', rows: 4 } },
      { ...common, command: 'dpo', settings: { ...settings, model: '@sft', data: 'pairs.jsonl', batch: 8, part: 8 } },
    ];
    writeFileSync(
      join(place, 'recipe.json'),
      JSON.stringify({ seed: 1, stages, completions: { count: 1, data: 'demos.jsonl' } }),
    );
    const child = spawn(process.execPath, [heed, 'pipeline', 'recipe.json', '--address', ADDRESS, '--out', 'run'], {
      cwd: place,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const ended = once(child, 'close');
    const metrics = (stage) => {
      const file = join(place, 'run', stage, 'metrics.jsonl');
      return existsSync(file)
        ? readFileSync(file, 'utf8')
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line))
        : [];
    };
    const live = { sft: false, dpo: false };
    while (child.exitCode === null) {
      for (const stage of Object.keys(live))
        live[stage] ||= metrics(stage).length > 0 && !existsSync(join(place, 'run', stage, 'model'));
      await Promise.race([ended, sleep(50)]);
    }
    if (child.exitCode !== 0) throw new Error(`heed pipeline ended with ${child.exitCode}`);
    const ids = '1,40,41,42,43,44,45,46,47,48,49';
    for (const stage of Object.keys(live)) {
      const model = join(place, 'run', stage, 'model');
      const { stdout } = run('logprobs', '--model', model, '--ids', ids, '--json');
      const here = JSON.parse(stdout.trim().split('\n').at(-1)).logprobs;
      const script = path('./peers/trainer_scores.py');
      const there = JSON.parse(spawnSync(python, [script, model, ids], { encoding: 'utf8' }).stdout);
      const losses = metrics(stage).filter((row) => 'loss/train' in row);
      yield {
        name: `${stage} by TRL on Ray: log-probabilities of the fetched model here and by Transformers`,
        value: `differ by ${Math.max(...here.map((value, i) => Math.abs(value - there[i]))).toExponential(1)}`,
        target: '≤ 1e-5',
        note: `${losses.length} rows of metrics, loss ${losses[0]['loss/train'].toFixed(3)} → ${losses.at(-1)['loss/train'].toFixed(3)}`,
      };
      yield { name: `${stage} by TRL on Ray: metrics came before the model`, value: `${live[stage]}`, target: 'true' };
    }
  });

export const cluster = { sections: { sweep, trainers } };
