/** Who may ask what from where: sessions, tokens, origins, sizes and rates. */
import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { getCookie } from 'hono/cookie';
import { personByToken, sessionOf } from '../people.ts';
import type { Database } from '../store/database.ts';
import { type Env, HttpError, type Variables } from './context.ts';

export const COOKIE = 'heed_session';

/** Of a request's body: items of clips are large. */
const LARGEST = 64 * 2 ** 20;

export const limitBody = (): MiddlewareHandler<Env> =>
  bodyLimit({
    maxSize: LARGEST,
    onError: () => {
      throw new HttpError(413, `The body is larger than ${LARGEST / 2 ** 20} MiB.`, 'Send it in parts.');
    },
  });

/** Nothing is loaded from elsewhere, nothing is shown in a frame, and no text becomes a script. */
export const securityHeaders: MiddlewareHandler<Env> = async (context, next) => {
  await next();
  const { headers } = context.res;
  const unlessTold = (name: string, value: string) => headers.has(name) || headers.set(name, value);
  unlessTold(
    'content-security-policy',
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  );
  headers.set('x-content-type-options', 'nosniff');
  headers.set('x-frame-options', 'DENY');
  headers.set('referrer-policy', 'no-referrer');
  unlessTold('cross-origin-opener-policy', 'same-origin');
  headers.set('cross-origin-resource-policy', 'same-origin');
  headers.set('permissions-policy', 'camera=(), microphone=(), geolocation=()');
  unlessTold('cache-control', 'no-store');
};

/**
 * Requests have to name the studio by a host that it has: a page elsewhere whose name was pointed here (DNS rebinding) does not.
 * Where the studio is bound to all addresses, its owner says which names it has.
 */
export function checkHost(hosts: ReadonlySet<string>): MiddlewareHandler<Env> {
  return async (context, next) => {
    const host = context.req.header('host') ?? '';
    const name = host.replace(/:\d+$/, '').toLowerCase();
    if (hosts.size > 0 && !hosts.has(name)) {
      throw new HttpError(
        403,
        'The studio does not go by that name.',
        'Open it by the printed link, or name the host with --hosts.',
      );
    }
    const origin = context.req.header('origin');
    if (origin !== undefined && changes(context) && !isSame(origin, host)) {
      throw new HttpError(403, 'A page of another origin may not ask this.');
    }
    await next();
  };
}

function isSame(origin: string, host: string): boolean {
  try {
    return new URL(origin).host === host;
  } catch {
    return false;
  }
}

const changes = ({ req }: Context<Env>) => !['GET', 'HEAD', 'OPTIONS'].includes(req.method);

/** Who asks, by a token or by a session's cookie; nobody where neither is known. */
export async function whoAsks(database: Database, context: Context<Env>): Promise<Variables> {
  const bearer = /^Bearer (.+)$/.exec(context.req.header('authorization') ?? '')?.[1];
  if (bearer !== undefined) return { person: await personByToken(database, bearer) };
  const secret = getCookie(context, COOKIE);
  return (secret !== undefined && (await sessionOf(database, secret))) || {};
}

/**
 * Finds out who asks; of a session, a change needs the session's word along. Tokens and cookies that nobody has count as failures of
 * the address that they come from.
 */
export function identify(
  database: Database,
  failures: Buckets,
  addressOf: (context: Context<Env>) => string,
): MiddlewareHandler<Env> {
  return async (context, next) => {
    const { person, csrf } = await whoAsks(database, context);
    if (!person && context.req.header('authorization') !== undefined) failures.take(addressOf(context));
    if (csrf !== undefined && changes(context) && context.req.header('x-heed-csrf') !== csrf) {
      throw new HttpError(403, 'The request lacks the word of its session.', 'Load the page again.');
    }
    context.set('person', person);
    context.set('csrf', csrf);
    await next();
  };
}

export interface Buckets {
  /** @throws HttpError 429 where the key's bucket is empty. */
  take(key: string): void;
  /** Likewise, and takes nothing. */
  check(key: string): void;
}

/** So many of something in so many seconds by a key: buckets that fill again steadily. */
export function createBuckets(most: number, seconds: number): Buckets {
  const buckets = new Map<string, { left: number; at: number }>();
  function leftIn(key: string, now: number): number {
    const { left, at } = buckets.get(key) ?? { left: most, at: now };
    const filled = Math.min(most, left + ((now - at) / 1000) * (most / seconds));
    if (filled < 1) throw new HttpError(429, 'Too many requests.', 'Wait a moment.');
    return filled;
  }
  return {
    check: (key) => void leftIn(key, Date.now()),
    take(key) {
      const now = Date.now();
      const left = leftIn(key, now) - 1;
      // who comes no more is forgotten: a full bucket is as good as none
      if (buckets.size > 10_000)
        for (const [other, one] of buckets) if (now - one.at > 1000 * seconds) buckets.delete(other);
      buckets.set(key, { left, at: now });
    },
  };
}

/** Paths and queries that databases and file systems choke on lead nowhere. */
export const checkPath: MiddlewareHandler<Env> = async (context, next) => {
  const { url } = context.req;
  if (/%00/.test(url) || !isDecodable(context.req.path)) throw new HttpError(400, 'The address is malformed.');
  await next();
};

function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
