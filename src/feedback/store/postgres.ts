/**
 * Kysely's dialect for PostgreSQL. TCP alone takes a quarter of an hour to notice that a network drops everything: here a
 * statement without a response is given up once PostgreSQL cannot be reached, or no longer works on it. However long it
 * works on one, the statement goes on.
 */

import { setTimeout as wait } from 'node:timers/promises';
import { PostgresDialect } from 'kysely';
import { optionalPackage } from '../../optional-package.ts';

/** Time limits of connections, in milliseconds. */
export interface PostgresLimits {
  /** For a connection: to be made, or to be free. */
  connect: number;
  /** Without a byte from PostgreSQL, until another connection asks what became of the statement. */
  silence: number;
}

/** The limits unless somebody says otherwise. */
const LIMITS: PostgresLimits = { connect: 8000, silence: 6000 };

/** Milliseconds in which a response that is on its way arrives. */
const ARRIVAL = 1000;
/** Milliseconds for a connection to close by itself. */
const CLOSING = 2000;

/** PostgreSQL's code for a named statement whose table got other columns: all get new names then. */
const OUTDATED = '0A000';
/** Statements that a session keeps, and their characters at most: lists of values make many long ones. */
const [NAMED, LONGEST] = [500, 2000];

/**
 * What each session is set to. PostgreSQL ends the session of a server that has gone without a word after 15 s, so that
 * its locks hold up nobody else: by keepalives if the session was silent, else by the response that nobody receives.
 * To compile a query takes 100 ms, and those that are asked at every step take less than one.
 */
const SESSION = `select pg_backend_pid() as pid, set_config('tcp_keepalives_idle', '6', false),
  set_config('tcp_keepalives_interval', '3', false), set_config('tcp_keepalives_count', '3', false),
  set_config('tcp_user_timeout', '15000', false), set_config('jit', 'off', false)`;

/** The client of PostgreSQL. */
const client = () => optionalPackage<typeof import('pg')>('pg', 'A store in PostgreSQL');

/** Kysely's dialect for the PostgreSQL database at a `postgres://…` address. */
export async function postgresDialect(
  connectionString: string,
  { connect, silence }: PostgresLimits = LIMITS,
): Promise<PostgresDialect> {
  const { default: pg } = await client();
  // 8-byte integers are counts here, and far from 2⁵³
  const types = new pg.TypeOverrides();
  types.setTypeParser(pg.types.builtins.INT8, Number);

  const busySessions = createSessionList(pg, connectionString, connect);
  const { nameOf, forget } = createNames();

  class WatchedClient extends pg.Client {
    /** The session's number; unknown behind a pool of connections, whose sessions change. */
    private session: number | undefined;

    async begin(): Promise<void> {
      const { rows } = (await this.query(SESSION)) as { rows: { pid: number }[] };
      const { processID } = this as unknown as { processID: number };
      if (rows[0].pid === processID) this.session = processID;
    }

    // biome-ignore lint/suspicious/noExplicitAny: one of pg's many signatures
    override query(...values: any[]): any {
      const [text, parameters] = values;
      // behind a pool of connections, the session that knows a statement by its name may be another's
      const name = this.session !== undefined && parameters?.length > 0 ? nameOf(text) : undefined;
      const sent = name === undefined ? values : [{ name, text, values: parameters }];
      const result = (super.query as (...values: unknown[]) => unknown)(...sent);
      if (!(result instanceof Promise)) return result;
      this.watch(result);
      return result.catch((error) => {
        if (error.code === OUTDATED) forget(text, name);
        throw error;
      });
    }

    override end(): Promise<void>;
    override end(done: (error: Error) => void): void;
    // biome-ignore lint/suspicious/noExplicitAny: as above
    override end(done?: any): any {
      setTimeout(() => socketOf(this).destroy(), CLOSING).unref();
      return done ? super.end(done) : super.end();
    }

    private watch(statement: Promise<unknown>): void {
      let over = false;
      let seen = socketOf(this).bytesRead;
      const isSilent = () => !over && socketOf(this).bytesRead === seen;
      const look = async () => {
        if (isSilent()) {
          const why = await this.lost();
          if (why !== undefined) await wait(ARRIVAL);
          if (why !== undefined && isSilent()) socketOf(this).destroy(new Unreachable(why));
        }
        seen = socketOf(this).bytesRead;
        if (!over) timer = setTimeout(look, silence);
      };
      let timer = setTimeout(look, silence);
      const end = () => {
        over = true;
        clearTimeout(timer);
      };
      statement.then(end, end);
    }

    /** Why no response will come; undefined if one still may. */
    private async lost(): Promise<string | undefined> {
      try {
        const busy = await busySessions();
        return this.session === undefined || busy.has(this.session) ? undefined : 'PostgreSQL lost the connection.';
      } catch {
        return 'PostgreSQL does not respond.';
      }
    }
  }

  const pool = new pg.Pool({
    connectionString,
    max: 10,
    types,
    keepAlive: true,
    connectionTimeoutMillis: connect,
    Client: WatchedClient,
    onConnect: (client) => (client as WatchedClient).begin(),
  });
  // a restarted server ends idle connections: new ones take their place, and a running query fails by itself
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return new PostgresDialect({ pool });
}

/** What asks PostgreSQL, over a connection of its own, which sessions work on a statement. */
function createSessionList({ Client }: typeof import('pg').default, connectionString: string, connect: number) {
  /** Those who ask at the same time share the question. */
  let asked: Promise<ReadonlySet<number>> | undefined;
  async function ask(): Promise<ReadonlySet<number>> {
    const client = new Client({ connectionString, connectionTimeoutMillis: connect, query_timeout: connect });
    client.on('error', () => {});
    try {
      await client.connect();
      const { rows } = await client.query<{ pid: number }>("select pid from pg_stat_activity where state = 'active'");
      return new Set(rows.map(({ pid }) => pid));
    } finally {
      hangUp(client);
    }
  }

  return () => {
    asked ??= ask().finally(() => {
      asked = undefined;
    });
    return asked;
  };
}

/** Names by which sessions keep statements. */
function createNames() {
  const names = new Map<string, string>();
  let named = 0;
  /** The name by which sessions keep a statement, so that PostgreSQL reads and plans it once in each. */
  const nameOf = (text: string): string | undefined => {
    if (text.length > LONGEST) return undefined;
    if (!names.has(text) && names.size < NAMED) names.set(text, `heed ${++named}`);
    return names.get(text);
  };
  /** Gives all statements new names, unless that has happened since this one had its name. */
  const forget = (text: string, name: string | undefined) => {
    if (names.get(text) === name) names.clear();
  };
  return { nameOf, forget };
}

const LOCAL = /^(|\/.*|localhost|127\..*|::1)$/;

/**
 * What who runs a server should know of the connection to a `postgres://…` address: that it is not encrypted on its way
 * to another machine, where neither the address nor PGSSLMODE says anything about that. Undefined otherwise.
 */
export async function connectionWarning(connectionString: string): Promise<string | undefined> {
  const { default: pg } = await client();
  const { host, ssl } = new pg.Client({ connectionString });
  const isSaid = /[?&]ssl(mode)?=/.test(connectionString) || process.env.PGSSLMODE !== undefined;
  if (ssl || isSaid || LOCAL.test(host)) return undefined;
  const choice = 'Add ?sslmode=verify-full to its address, or ?sslmode=disable if nobody else is on that network.';
  return `The connection to PostgreSQL on ${host} is not encrypted: others on the way can read it. ${choice}`;
}

/** The connection to PostgreSQL is lost, and whatever ran on it. */
export class Unreachable extends Error {
  override name = 'Unreachable';
  readonly code = 'ETIMEDOUT';
}

interface Socket {
  bytesRead: number;
  destroy(error?: Error): void;
}

const socketOf = (client: object): Socket => (client as { connection: { stream: Socket } }).connection.stream;

const hangUp = (client: object): void => socketOf(client).destroy();
