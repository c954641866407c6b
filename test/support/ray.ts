/** A Ray cluster of two nodes on this machine, with token authentication, for tests; one at a time. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const program = join(dirname(process.env.HEED_PYTHON ?? ''), 'ray');
/** Whether HEED_PYTHON names an interpreter with Ray beside it. */
export const hasRay = process.env.HEED_PYTHON !== undefined && existsSync(program);

export interface RayCluster {
  /** What commands need in their environment. */
  env: Record<string, string>;
  /** Kills the second node at once, with everything on it. */
  loseNode(): void;
  stop(): void;
}

/** One CPU on each node. */
export async function startRay(): Promise<RayCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'heed-ray-'));
  const port = 20_000 + (process.pid % 10_000);
  const own = {
    RAY_AUTH_MODE: 'token',
    RAY_AUTH_TOKEN: randomUUID().replaceAll('-', ''),
    RAY_USAGE_STATS_ENABLED: '0',
    // a lost node is noticed after some seconds, not half a minute
    RAY_health_check_period_ms: '1000',
    RAY_health_check_timeout_ms: '4000',
    RAY_health_check_failure_threshold: '3',
  };
  const nodes: ChildProcess[] = [];
  const start = (...args: string[]) => {
    const common = ['start', '--block', '--num-cpus', '1', '--object-store-memory', '80000000', ...args];
    nodes.push(spawn(program, common, { env: { ...process.env, ...own }, stdio: 'ignore', detached: true }));
  };
  const kill = (node: ChildProcess | undefined) => {
    try {
      if (node?.pid) process.kill(-node.pid, 'SIGKILL');
    } catch {} // it has ended
  };
  const env = { RAY_ADDRESS: `http://127.0.0.1:${port + 1}`, RAY_AUTH_TOKEN: own.RAY_AUTH_TOKEN };
  const alive = async () => {
    try {
      const headers = { authorization: `Bearer ${env.RAY_AUTH_TOKEN}` };
      const response = await fetch(`${env.RAY_ADDRESS}/api/v0/nodes`, { headers });
      const { data } = (await response.json()) as { data: { result: { result: { state: string }[] } } };
      return data.result.result.filter(({ state }) => state === 'ALIVE').length;
    } catch {
      return 0;
    }
  };
  const dashboard = ['--dashboard-port', `${port + 1}`, '--include-dashboard', 'true'];
  start(
    '--head',
    '--port',
    `${port}`,
    '--temp-dir',
    folder,
    '--dashboard-agent-listen-port',
    `${port + 2}`,
    ...dashboard,
  );
  while ((await alive()) < 1) await sleep(200);
  start('--address', `127.0.0.1:${port}`, '--dashboard-agent-listen-port', `${port + 3}`);
  while ((await alive()) < 2) await sleep(200);
  return {
    env,
    loseNode: () => kill(nodes.pop()),
    stop() {
      for (const node of nodes) kill(node);
      spawnSync('pkill', ['-9', '-f', folder]); // daemons of their own sessions; only theirs name this folder
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
