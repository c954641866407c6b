/**
 * Pictures of the teaching rooms for docs/images: npm run build, then node scripts/screenshot-rooms.js [FOLDER]
 * It trains an agent and a model until there is something to see, in about a minute.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { judge, openRoom } from './open-room.js';

const into = process.argv[2] ?? 'docs/images';
const folder = mkdtempSync(join(tmpdir(), 'heed-rooms-'));
const heed = fileURLToPath(new URL('../bin/heed.js', import.meta.url));

function run(...args) {
  const { status, stderr } = spawnSync(process.execPath, [heed, ...args], { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

async function picture(name, args, judgments) {
  const { page, close } = await openRoom(args, folder);
  try {
    await judge(page, judgments);
    await page.locator('.query .option').first().waitFor();
    await page.waitForTimeout(600);
    await page.screenshot({ path: join(into, `${name}.png`) });
  } finally {
    await close();
  }
}

try {
  mkdirSync(into, { recursive: true });
  const agent = ['train', '--env', 'CartPole-v1', '--teacher', 'human', '--labels', '30', '--out', 'agent'];
  await picture('teaching-room', agent, 14);
  run('sft', '--epochs', '1', '--evaluations', '0', '--out', 'sft');
  run('reward', '--model', 'sft/model', '--comparisons', '200', '--evaluations', '0', '--out', 'reward');
  const model = ['ppo', '--model', 'sft/model', '--reward', 'reward/model', '--ask-people', '--out', 'model'];
  const small = ['--steps', '16', '--batch', '16', '--evaluations', '8', '--evaluation.count', '32'];
  await picture('teaching-room-text', [...model, ...small, '--people.labels', '16'], 8);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
