/** What stands before every route: names and origins, keys, limits. Nothing of a body is read before. */
import type { ServerResponse } from 'node:http';
import type { MiddlewareHandler } from 'hono';
import { isSame } from '../feedback/server/security.ts';
import { bearerOf } from '../monitoring/access.ts';
import { addressOf } from '../monitoring/address.ts';
import { isChunked, limitChunks } from '../monitoring/body.ts';
import { createBuckets } from '../monitoring/buckets.ts';
import { type Env, type ServeContext, scopes } from './context.ts';
import { ApiError } from './errors.ts';
import { checkQuota, hasKeys, keyBySecret } from './keys.ts';

const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]', '::1'];

/** Whether an address is reached from this machine only. */
export const isLoopback = (host: string): boolean => LOOPBACK.includes(host);

/** Who may reach the server. */
export interface Access {
  /** Address that it listens on. */
  host: string;
  /** Names that it is reached by, besides its address. */
  hosts: readonly string[];
  /** Origins of pages that may use it. */
  allowOrigin: readonly string[];
  /** Whether to trust X-Forwarded-For and X-Forwarded-Proto. */
  trustProxy: boolean;
}

/**
 * Refuses requests to a host name that is not the server's (DNS rebinding), and requests of pages of other origins,
 * unless those are allowed: they get the headers of CORS.
 */
export function checkOrigin(
  { openPaths }: ServeContext,
  { host, hosts, allowOrigin, trustProxy }: Access,
): MiddlewareHandler<Env> {
  const names = isLoopback(host) || hosts.length > 0 ? new Set([...LOOPBACK, host, ...hosts]) : undefined;
  return async (c, next) => {
    const own = c.req.header('host') ?? '';
    const name = own.replace(/:\d+$/, '').toLowerCase();
    if (names && !names.has(name)) {
      throw new ApiError(403, `The server cannot be reached as "${name}". Start it with --hosts ${name}`, {
        code: 'unknown_host',
      });
    }
    const origin = c.req.header('origin');
    const scheme = trustProxy ? c.req.header('x-forwarded-proto') : undefined;
    if (origin === undefined || isSame(origin, own, scheme) || openPaths.has(c.req.path)) return next();
    if (!allowOrigin.includes(origin)) {
      throw new ApiError(403, `Pages of ${origin} may not use this server. Start it with --allowOrigin ${origin}`, {
        code: 'origin_not_allowed',
      });
    }
    c.header('access-control-allow-origin', origin);
    c.header('vary', 'origin');
    if (c.req.method !== 'OPTIONS') return next();
    c.header('access-control-allow-methods', 'GET, POST, DELETE');
    c.header('access-control-allow-headers', 'authorization, content-type, x-api-key');
    return c.body(null, 204);
  };
}

/**
 * Finds the caller by the key, and keeps to the limits of the key. Without keys, this machine may do everything; behind
 * a proxy that is trusted, everybody comes from this machine, and needs a key.
 */
export function identify(context: ServeContext, { host, trustProxy }: Access): MiddlewareHandler<Env> {
  const { database, limits, openPaths, now } = context;
  const take = createBuckets(60, now);
  const failures = createBuckets(60, now);
  const underWay = new Map<string, number>();
  const refuse = (message: string) => new ApiError(401, message, { code: 'invalid_api_key' });
  return async (c, next) => {
    // Tinker's clients send their key in a header of its own, and insist on its beginning
    const secret = bearerOf(c.req.header('authorization')) ?? c.req.header('x-api-key')?.replace(/^tml-/, '');
    const key = secret === undefined ? undefined : await keyBySecret(database, secret);
    if (!key) {
      const needed = !isLoopback(host) || trustProxy || (await hasKeys(database));
      if (needed && !openPaths.has(c.req.path)) {
        if (secret === undefined) throw refuse('The request has no key: send "Authorization: Bearer KEY".');
        if (failures(addressOf(c, trustProxy), 30) < 0) throw tooMany('Too many wrong keys came from your address.', 2);
        throw refuse('The key is not valid. Its owner can add one: heed serve keys add NAME');
      }
      c.set('caller', { key: undefined, scopes: new Set(needed ? [] : scopes), user: undefined });
      return next();
    }
    c.set('caller', { key: key.id, name: key.name, scopes: new Set(key.scopes), user: undefined });
    const most = key.requestsPerMinute ?? limits.perMinute;
    const left = take(key.id, most);
    c.header('x-ratelimit-limit-requests', String(most));
    c.header('x-ratelimit-remaining-requests', String(Math.max(left, 0)));
    c.header('x-ratelimit-reset-requests', `${Math.ceil((60 * (most - Math.max(left, 0))) / most)}s`);
    if (left < 0) throw tooMany(`The key "${key.name}" may send ${most} requests a minute.`, Math.ceil(60 / most));
    const tokens = await checkQuota(database, key, now());
    if (tokens !== undefined) {
      c.header('x-ratelimit-limit-tokens', String(key.tokensPerDay));
      c.header('x-ratelimit-remaining-tokens', String(tokens));
    }
    const own = underWay.get(key.id) ?? 0;
    if (own >= limits.concurrency) throw tooMany(`The key "${key.name}" has ${own} requests under way.`, 1);
    underWay.set(key.id, own + 1);
    const ended = () => {
      const rest = underWay.get(key.id)! - 1;
      if (rest > 0) underWay.set(key.id, rest);
      else underWay.delete(key.id);
    };
    // a stream goes on after its response was returned
    const { outgoing } = (c.env ?? {}) as { outgoing?: ServerResponse };
    outgoing?.once('close', ended);
    try {
      await next();
    } finally {
      if (!outgoing) ended();
    }
    return undefined;
  };
}

const tooMany = (message: string, seconds: number) =>
  new ApiError(429, message, { code: 'rate_limit_exceeded', headers: { 'retry-after': String(seconds) } });

const MIB = 2 ** 20;
/** Bytes of a body at most, by the beginning of the path; the last one holds for all others. */
const LARGEST: readonly (readonly [path: string, bytes: number])[] = [
  // a file and a part of OpenAI's largest size, and the form around it
  ['/v1/files', 513 * MIB],
  ['/v1/uploads', 65 * MIB],
  ['/', 8 * MIB],
];

/**
 * Refuses bodies that are too large: before they are read where the request says its length, else as soon as they are.
 * OpenAI's client for Node sends files in chunks, without a length.
 */
export const limitBody: MiddlewareHandler<Env> = async (c, next) => {
  const [, largest] = LARGEST.find(([path]) => c.req.path.startsWith(path))!;
  const tooLarge = new ApiError(413, `The body is larger than ${largest / MIB} MiB.`);
  if (!isChunked(c)) {
    if (Number(c.req.header('content-length') ?? 0) > largest) throw tooLarge;
    return next();
  }
  const isTooLarge = limitChunks(c, largest, tooLarge);
  await next();
  if (isTooLarge()) throw tooLarge; // whatever the route made of a body that broke off
};

/** Refuses new requests while the server closes. */
export const checkDraining =
  (context: ServeContext): MiddlewareHandler<Env> =>
  async (_c, next) => {
    if (context.isDraining()) {
      throw new ApiError(503, 'The server is closing.', {
        code: 'closing',
        headers: { 'retry-after': '5', connection: 'close' },
      });
    }
    await next();
  };
