/**
 * Makes test/fixtures/runs/run-0.1: a training that version 0.1 stopped halfway, by the code of that version, which git
 * has. In a whole clone:
 *
 *   node scripts/make-old-run.js
 *
 * run-0.1.json says how it ended when nobody stopped it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkOutVersion } from './check-out-version.js';

const here = fileURLToPath(new URL('../test/fixtures/runs', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'heed-0.1-'));

/** A training of a second, with a checkpoint after each batch. @param {string} out @param {boolean} isStopped */
async function train(out, isStopped) {
  const flags = ['--steps', '2048', '--evaluations', '4', '--episodes', '2', '--seed', '3', '--checkpoint-seconds', '0'];
  // options that had other names then
  const ppo = ['--ppo.hidden', '4', '--ppo.epochs', '2', '--ppo.normaliseObservations'];
  const child = spawn(process.execPath, ['bin/heed.js', 'rl', ...flags, ...ppo, '--out', out], { cwd: work });
  const checkpoints = join(work, out, 'checkpoints');
  const halfway = () => existsSync(checkpoints) && readdirSync(checkpoints).includes('0000001024');
  const timer = setInterval(() => {
    if (!isStopped || !halfway()) return;
    child.kill('SIGINT'); // a second one would leave the lock
    clearInterval(timer);
  }, 1);
  await once(child, 'exit');
  clearInterval(timer);
}

try {
  checkOutVersion('0.1', work);
  await train('stopped', true);
  await train('whole', false);
  rmSync(join(here, 'run-0.1'), { recursive: true, force: true });
  cpSync(join(work, 'stopped'), join(here, 'run-0.1'), { recursive: true });
  rmSync(join(here, 'run-0.1', 'report.html'));
  const tensors = readFileSync(join(work, 'whole', 'checkpoints', '0000002048', 'tensors.safetensors'));
  const rows = readFileSync(join(work, 'whole', 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const last = JSON.parse(rows.at(-1) ?? '');
  writeFileSync(
    join(here, 'run-0.1.json'),
    `${JSON.stringify({ rows: rows.length, last, tensors: tensors.toString('base64') }, null, 2)}\n`,
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}
