/** PostgreSQL servers of the machine's own packages; undefined where there are none. */
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import pg from 'pg';
import { eventually } from './eventually.ts';

export interface PostgresServer {
  /** Address of a new, empty database. */
  database(): Promise<string>;
  /** Kills the server, all of its processes at once, as a power cut would. */
  kill(): Promise<void>;
  /** Sends all of its processes a signal, such as SIGSTOP. */
  signal(signal: NodeJS.Signals): void;
  /** Kills the server, and starts it again on the same data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** The server that the files of one worker share, each with databases of its own. It ends with the worker. */
export function sharedPostgres(): Promise<Pick<PostgresServer, 'database'> | undefined> {
  const shared = globalThis as { heedTestPostgres?: ReturnType<typeof startPostgres> }; // files load this module anew
  shared.heedTestPostgres ??= startPostgres();
  return shared.heedTestPostgres;
}

/** A server of one's own. `networks`: from where else it may be reached, such as `10.0.0.0/8`; then it listens on all addresses. */
export async function startPostgres(networks: readonly string[] = []): Promise<PostgresServer | undefined> {
  const programs = findPrograms();
  if (!programs) return undefined;
  const user = ownUser();
  if (user === 'none') return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'heed-postgres-'));
  if (user) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const made = spawnSync(
    join(programs, 'initdb'),
    ['-D', data, '-U', 'heed', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'],
    {
      ...user,
      cwd: folder,
      encoding: 'utf8',
    },
  );
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  for (const network of networks) appendFileSync(join(data, 'pg_hba.conf'), `host all all ${network} trust\n`);
  let port = 0;
  const begin = async () => {
    const settings = [
      ...['-D', data, '-p', `${port}`, '-k', folder],
      ...['-c', `listen_addresses=${networks.length > 0 ? '*' : '127.0.0.1'}`, '-c', 'max_connections=50'],
      // what was written outlives the processes all the same
      ...['-c', 'fsync=off'],
    ];
    const server = spawn(join(programs, 'postgres'), settings, {
      ...user,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
    await new Promise<void>((resolve, reject) => {
      let said = '';
      server.stderr.on('data', (text) => {
        said += text;
        if (said.includes('ready to accept connections')) resolve();
      });
      server.once('exit', () => reject(new Error(`postgres: ${said}`)));
    });
    return { server, ended };
  };
  const beginAnywhere = async () => {
    for (;;) {
      port = await freePort();
      try {
        return await begin();
      } catch (error) {
        // another process may have taken the port meanwhile
        if (!/Address already in use/.test(String(error))) throw error;
      }
    }
  };
  let running = await beginAnywhere();
  const signal = (name: NodeJS.Signals) => {
    const { pid } = running.server;
    const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', `${pid}`], { encoding: 'utf8' });
    running.server.kill(name);
    for (const child of stdout.split('\n').map(Number).filter(Boolean)) {
      try {
        process.kill(child, name);
      } catch {
        // it ended with its parent
      }
    }
  };
  const kill = async () => {
    signal('SIGKILL');
    await running.ended;
  };
  const endAtOnce = () => {
    signal('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once('exit', endAtOnce);
  process.once('SIGTERM', () => process.exit(143)); // Vitest ends its workers so
  let databases = 0;
  return {
    async database() {
      const client = new pg.Client(`postgres://heed@127.0.0.1:${port}/postgres`);
      await client.connect();
      const name = `heed${databases++}`;
      await client.query(`create database ${name}`);
      await client.end();
      return `postgres://heed@127.0.0.1:${port}/${name}`;
    },
    kill,
    signal,
    async restart() {
      await kill();
      running = await eventually(begin); // the memory that its processes shared may be there for a moment
    },
    async stop() {
      // without a last checkpoint, which takes minutes on a busy disk: the folder goes anyway
      process.off('exit', endAtOnce);
      running.server.kill('SIGQUIT');
      await running.ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The folder of the server's programs: Debian keeps them off the path. */
function findPrograms(): string | undefined {
  const packaged = '/usr/lib/postgresql';
  const versions = existsSync(packaged) ? readdirSync(packaged).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...versions.map((v) => join(packaged, v, 'bin'))];
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(join(folder, name))));
}

/** The server refuses to run as root: then it runs as the user that its package made. */
function ownUser(): { uid: number; gid: number } | 'none' | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout),
  );
  return uid > 0 ? { uid, gid } : 'none';
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
