/** The studio's server: the store and the runs over HTTP, and the page that shows them. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Server, ServerOptions, ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Http2Bindings, type HttpBindings, serve } from '@hono/node-server';
import { getConnInfo } from '@hono/node-server/conninfo';
import { type Context, Hono } from 'hono';
import { ZodError } from 'zod';
import { HeedError, messageOf } from '../../error.ts';
import { ensurePerson, newSecret, type Person } from '../people.ts';
import type { Database } from '../store/database.ts';
import { type ChatModel, chatRoutes } from './chat.ts';
import { type Env, HttpError } from './context.ts';
import { eventRoutes } from './events.ts';
import { machineRoutes } from './machine.ts';
import { openApi } from './openapi.ts';
import { peopleRoutes } from './people.ts';
import { projectRoutes } from './projects.ts';
import { runRoutes } from './runs.ts';
import { checkHost, checkPath, createBuckets, identify, limitBody, securityHeaders } from './security.ts';
import { sessionRoutes } from './session.ts';
import { transferRoutes } from './transfer.ts';

export interface StudioOptions {
  database: Database;
  /** Of the runs that are shown. */
  runs?: string;
  /** 127.0.0.1 unless told. */
  host?: string;
  /** 0, the default, takes a free one. */
  port?: number;
  /** Names that the studio may be asked by, besides its address. */
  hosts?: readonly string[];
  /** Whether a proxy in front says by X-Forwarded-For and -Proto who asks and how; without one, anybody could. */
  trustProxy?: boolean;
  /** Milliseconds that a client has, other than usual. */
  timeouts?: Partial<typeof TIMEOUTS>;
  /** Whom people can talk to. */
  chat?: ChatModel;
  /** Who the printed link signs in. */
  owner?: string;
  /** Told of what went wrong here; never of tokens. */
  onError?: (text: string) => void;
}

export interface Studio {
  url: string;
  /** Signs its reader in, once. */
  link: string;
  close(): Promise<void>;
}

const page = fileURLToPath(new URL('../../studio', import.meta.url));
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]', '::1'];

/** What a slow client may take: for the headers, for all of a request, and between requests; and how often this is looked at. */
const TIMEOUTS = {
  headersTimeout: 15_000,
  requestTimeout: 300_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 5000,
};

type FetchCallback = (request: Request, env: HttpBindings | Http2Bindings) => Promise<Response>;

/** How long a printed link works. */
const LINK_SECONDS = 3600;

/** @throws HeedError where the address is taken. */
export async function startStudio(options: StudioOptions): Promise<Studio> {
  const { database, host = '127.0.0.1', port = 0, owner = 'me' } = options;
  const person = await ensurePerson(database, owner, 'owner');
  const token = newSecret();
  const until = Date.now() + 1000 * LINK_SECONDS;
  let used = false;
  const once = (given: string): Person | undefined => {
    if (used || given !== token || Date.now() > until) return undefined;
    used = true;
    return person;
  };
  const app = createApp(options, once);
  const streams = new Set<ServerResponse>();
  const fetch: FetchCallback = async (request, env) => {
    const response = await app.fetch(request, env);
    if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
      const outgoing = env.outgoing as ServerResponse;
      streams.add(outgoing);
      outgoing.once('close', () => streams.delete(outgoing));
    }
    return response;
  };
  const server = await listen(fetch, host, port, { ...TIMEOUTS, ...options.timeouts });
  const { port: actual } = server.address() as { port: number };
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${actual}`;
  return {
    url,
    link: `${url}/#token=${token}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        // they never end by themselves
        for (const stream of streams) stream.destroy();
        // what is still under way gets a moment
        setTimeout(() => server.closeAllConnections(), 2000).unref();
      }),
  };
}

/** All routes. `once` knows the printed link's token. */
export function createApp(options: StudioOptions, once: (token: string) => Person | undefined): Hono<Env> {
  const { database, runs = 'runs', host = '127.0.0.1', hosts = [], trustProxy = false, onError = () => {} } = options;
  const names =
    LOOPBACK.includes(host) || hosts.length > 0 ? new Set([...LOOPBACK, host, ...hosts]) : new Set<string>();
  const address = (context: Context<Env>) =>
    // the last is what the proxy itself saw; those before it anybody may have written
    (trustProxy && context.req.header('x-forwarded-for')?.split(',').at(-1)?.trim()) ||
    (getConnInfo(context).remote.address ?? '');
  const [rate, failures] = [createBuckets(1200, 60), createBuckets(30, 60)];
  const api = new Hono<Env>()
    .use(limitBody())
    .use(identify(database, failures, address))
    .use(async (context, next) => {
      rate.take(context.get('person')?.id ?? address(context));
      await next();
    })
    .route('/session', sessionRoutes(database, once, { failures, address, trustProxy }))
    .route('/projects', projectRoutes(database))
    .route('/people', peopleRoutes(database))
    .route('/', transferRoutes(database))
    .route('/', chatRoutes(database, options.chat))
    .route('/events', eventRoutes(database))
    .route('/runs', runRoutes(runs))
    .get('/openapi.json', (context) => context.json(openApi()))
    .route('/machine', machineRoutes())
    .all('*', () => {
      throw new HttpError(404, 'There is no such thing here.');
    });
  const app = new Hono<Env>()
    .use(securityHeaders)
    .use(checkPath)
    .use(checkHost(names))
    .route('/api', api)
    .get('*', pageFile);
  app.onError((error, context) => {
    if (error instanceof HttpError)
      return context.json({ error: { message: error.message, hint: error.hint } }, error.status);
    if (error instanceof ZodError) {
      const { path, message } = error.issues[0];
      return context.json({ error: { message: `${path.join('.') || 'The body'}: ${message}` } }, 400);
    }
    if (error instanceof HeedError) return context.json({ error: { message: error.message, hint: error.hint } }, 400);
    // what is nested a hundred thousand times over
    if (error instanceof RangeError && /call stack/.test(error.message))
      return context.json({ error: { message: 'The body is nested too deeply.' } }, 400);
    onError(`${context.req.method} ${context.req.path}: ${messageOf(error)}`);
    return context.json(
      { error: { message: 'This is a fault of heed.', hint: 'The studio’s terminal says more.' } },
      500,
    );
  });
  return app;
}

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
};

/** A built file by its name, which changes with it; any other path is the page's own. */
async function pageFile({ req }: { req: { path: string } }): Promise<Response> {
  if (!existsSync(join(page, 'index.html'))) {
    const body = 'The page was not built. In a clone of heed: npm run build';
    return new Response(body, { status: 503, headers: { 'content-type': 'text/plain; charset=utf-8' } });
  }
  const path = join(page, normalize(`/${decodeURIComponent(req.path)}`));
  const isFile = extname(path) !== '' && path.startsWith(page) && existsSync(path);
  const name = isFile ? path : join(page, 'index.html');
  const caching =
    isFile && name.includes(`${join(page, 'assets')}`) ? 'public, max-age=31536000, immutable' : 'no-cache';
  const type = types[extname(name)] ?? 'application/octet-stream';
  return new Response(await readFile(name), { headers: { 'content-type': type, 'cache-control': caching } });
}

function listen(fetch: FetchCallback, hostname: string, port: number, serverOptions: ServerOptions): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch, hostname, port, serverOptions }, () => resolve(server as Server));
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const hint = cause.code === 'EADDRINUSE' ? 'Take another with --port.' : undefined;
      reject(new HeedError(`The studio cannot listen on ${hostname}:${port}: ${messageOf(cause)}`, { hint, cause }));
    });
  });
}
