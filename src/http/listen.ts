/** A server on an address: opening it, and closing it. */
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import { serve } from '@hono/node-server';
import { HeedError, messageOf } from '../error.ts';

/**
 * Answers a request. `env` has Node's own request and response. These types are written here because those of
 * @hono/node-server need a page's, which programs of Node do not have.
 */
export type FetchCallback = (
  request: Request,
  env: { incoming: IncomingMessage; outgoing: ServerResponse },
) => Response | Promise<Response>;

/** Options of `listen`. */
export interface ListenOptions {
  /** The server's name in messages. */
  name: string;
  /** Address to listen on. */
  host: string;
  /** Port to listen on; 0 takes a free one. */
  port: number;
  /** Time limits for clients in milliseconds, if they differ from the usual ones. */
  timeouts?: Pick<
    ServerOptions,
    'headersTimeout' | 'requestTimeout' | 'keepAliveTimeout' | 'connectionsCheckingInterval'
  >;
  /** Connections at once at most. */
  connections?: number;
}

/** A server that listens. */
export interface Listening {
  /** Node's server. */
  server: Server;
  /** Its address, such as `http://127.0.0.1:7420`. */
  url: string;
  /** Takes no new connections, gives responses that are written a moment to reach their clients, and ends. */
  close(): Promise<void>;
}

/** Milliseconds for a request's headers, for all of it, between requests, and between checks of these limits. */
const TIMEOUTS = {
  headersTimeout: 15_000,
  requestTimeout: 300_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 5000,
};
const CONNECTIONS = 4096;
/** Milliseconds in which responses that are written reach their clients. */
const LINGER = 500;

/** Listens on an address. @throws HeedError if it cannot. */
export async function listen(
  fetch: FetchCallback,
  { name, host, port, timeouts, connections = CONNECTIONS }: ListenOptions,
): Promise<Listening> {
  const server = await new Promise<Server>((resolve, reject) => {
    const answer = (request: Request, env: object) => fetch(request, env as Parameters<FetchCallback>[1]);
    const options = { fetch: answer, hostname: host, port, serverOptions: { ...TIMEOUTS, ...timeouts } };
    const listening = serve(options, () => resolve(listening)) as Server;
    listening.once('error', (cause: NodeJS.ErrnoException) => {
      const hint = cause.code === 'EADDRINUSE' ? 'Choose another port with --port, or 0 for a free one.' : undefined;
      reject(new HeedError(`The ${name} cannot listen on ${host}:${port}: ${messageOf(cause)}`, { hint, cause }));
    });
  });
  server.maxConnections = connections;
  const { port: actual } = server.address() as { port: number };
  return {
    server,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${actual}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), LINGER).unref();
      }),
  };
}
