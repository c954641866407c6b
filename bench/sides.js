/** How two sides are measured in the same run: ours in processes of their own, in turns with the peers. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from './figures.js';

export const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

export const lastLine = (text) => text.trim().split('\n').at(-1);

export function node(script, args) {
  return spawnSync(process.execPath, [path(script), ...args.map(String)], { encoding: 'utf8', maxBuffer: 1 << 26 });
}

/** fetch, again where the server had closed a connection that was idle: each try finds the next one, or a new one. */
export async function fetchAgain(...request) {
  for (let i = 0; i < 100; i++) {
    try {
      return await fetch(...request);
    } catch (error) {
      if (!['EPIPE', 'ECONNRESET', 'UND_ERR_SOCKET'].includes(error.cause?.code)) throw error;
    }
  }
  throw new Error(`${request[0]}: all connections were closed`);
}

/** Runs jobs of ours, each in a process of its own, so that its peak memory is its own; the script tells the fields. */
export const jobsOf =
  (script) =>
  (...args) => {
    const run = node(script, args);
    if (run.status !== 0) throw new Error(`${script} ${args.join(' ')} failed:\n${run.error?.message ?? run.stderr}`);
    return JSON.parse(lastLine(run.stdout));
  };

/**
 * Asks every side in turn, `pairs` times, so that all meet the same noise. A side that gives nothing is not asked again.
 * Returns for each side its figures, in the order asked, or undefined.
 */
export function alternate(pairs, sides) {
  const figures = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
  for (let pair = 0; pair < pairs; pair++) {
    for (const [name, ask] of Object.entries(sides)) {
      const figure = figures[name] && ask();
      if (figure) figures[name].push(figure);
      else figures[name] = undefined;
    }
  }
  return figures;
}

export const middle = (figures, field) => median(figures.map((figure) => figure[field]));

/** How many times faster: the median over neighbors in time. */
export const times = (mine, theirs, field = 'tokensPerSecond') =>
  median(mine.map((m, i) => m[field] / theirs[i][field]));

export function* inTemporaryFolder(body) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-bench-'));
  try {
    yield* body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
