/** The names that a server is reached by, and the pages that a request may come from. */
import type { Context, MiddlewareHandler } from 'hono';
import { HttpError } from './errors.ts';

const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]', '::1'];

/** Whether an address is reached from this machine only. */
export const isLoopback = (host: string): boolean => LOOPBACK.includes(host);

/** Where a server is reached. */
export interface ServerNames {
  /** What it is called in messages. */
  name: string;
  /** Address that it listens on. */
  host: string;
  /** Names that it is reached by, besides its address. */
  hosts: readonly string[];
}

/**
 * Refuses requests to a host name that is not the server's (DNS rebinding). A server that listens on all addresses knows
 * its names only from who runs it: without `hosts`, every name passes.
 */
export function checkHost({ name, host, hosts }: ServerNames): MiddlewareHandler {
  const names = isLoopback(host) || hosts.length > 0 ? new Set([...LOOPBACK, host, ...hosts]) : undefined;
  return async (context, next) => {
    const called = (context.req.header('host') ?? '').replace(/:\d+$/, '').toLowerCase();
    if (names && !names.has(called)) {
      const hint = `Start it with --hosts ${called}`;
      throw new HttpError(403, `The ${name} cannot be reached as "${called}".`, hint, { code: 'unknown_host' });
    }
    await next();
  };
}

/**
 * The origin of the page that a request comes from, if it is another than the server's own. The scheme is compared where
 * a trusted proxy says which one the browser used.
 */
export function foreignOrigin({ req }: Context, trustProxy = false): string | undefined {
  const origin = req.header('origin');
  const scheme = trustProxy ? req.header('x-forwarded-proto') : undefined;
  return origin === undefined || isSame(origin, req.header('host') ?? '', scheme) ? undefined : origin;
}

/** Whether a page of that origin was loaded from this host, and by this scheme if it is known. */
export function isSame(origin: string, host: string, scheme?: string): boolean {
  try {
    const url = new URL(origin);
    return url.host === host && (scheme === undefined || url.protocol === `${scheme}:`);
  } catch {
    return false;
  }
}
