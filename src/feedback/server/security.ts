/** Security of requests: sessions, tokens, origins, sizes and rates. */
import type { ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { Context, MiddlewareHandler } from 'hono';
import { getCookie } from 'hono/cookie';
import { bearerOf } from '../../monitoring/access.ts';
import { isChunked, limitChunks } from '../../monitoring/body.ts';
import { createBuckets } from '../../monitoring/buckets.ts';
import { apiKeyBySecret } from '../keys.ts';
import { ExpiredToken, type Person, personByToken } from '../people.ts';
import { mayAs, type PersonRole } from '../roles.ts';
import { isKey } from '../secrets.ts';
import { sessionOf } from '../sessions.ts';
import type { Database } from '../store/database.ts';
import { type Env, HttpError, type Variables } from './context.ts';

/** Name of the session's cookie. */
export const COOKIE = 'heed_session';

/** Whether the browser came by https, as a trusted proxy says. */
export const isSecure = ({ req }: Pick<Context, 'req'>, trustProxy: boolean): boolean =>
  trustProxy && req.header('x-forwarded-proto') === 'https';

/**
 * The prefix of the studio's cookies: by https `__Host-`, which browsers take from this host alone, by TLS alone. No
 * cookie that a neighboring host or a request in the clear has set counts then.
 */
export const cookiePrefix = (secure: boolean): 'host' | undefined => (secure ? 'host' : undefined);

const MIB = 2 ** 20;

/** Bytes of a request's body at most, by who sends it: an owner adds items with clips, others send judgments. */
const LARGEST: Readonly<Record<PersonRole | 'nobody', number>> = {
  nobody: 4096,
  annotator: 4 * MIB,
  reviewer: 4 * MIB,
  owner: 64 * MIB,
};
/** Largest bodies that one person may have under way at a time. */
const BODIES = 2;

/**
 * Refuses bodies that are too large: a single one, those of one person together, and those of everybody together (`most`
 * bytes). It does so before they are read, or of one that comes in chunks as soon as it is too large. It stands behind
 * `identify`, because nobody's bodies may be as large as a person's.
 */
export function limitBody(most: number): MiddlewareHandler<Env> {
  const underWay = new Map<string, number>();
  let all = 0;
  return async (context, next) => {
    const person = context.get('person');
    const largest = LARGEST[person?.role ?? 'nobody'];
    const size = largest < MIB ? `${largest / 1024} KiB` : `${largest / MIB} MiB`;
    const hint = person ? 'Send it in several requests.' : 'Sign in first.';
    const tooLarge = new HttpError(413, `The body is larger than ${size}.`, hint);
    const chunked = isChunked(context);
    // of a body in chunks nobody knows the size yet
    const length = chunked ? largest : Number(context.req.header('content-length') ?? 0);
    if (length > largest) throw tooLarge;
    const isTooLarge = chunked ? limitChunks(context, largest, tooLarge) : undefined;
    const answered = async () => {
      await next();
      if (isTooLarge?.()) throw tooLarge; // whatever the route made of a body that broke off
    };
    if (length === 0 || !person) return answered();
    const own = underWay.get(person.id) ?? 0;
    if (own + length > BODIES * largest) {
      throw new HttpError(429, 'You are sending too much at once.', 'Wait until your other requests are done.');
    }
    if (all + length > most) {
      throw new HttpError(503, 'The studio is receiving too much at once.', 'Try again in a moment.');
    }
    underWay.set(person.id, own + length);
    all += length;
    try {
      await answered();
    } finally {
      const left = underWay.get(person.id)! - length;
      if (left > 0) underWay.set(person.id, left);
      else underWay.delete(person.id);
      all -= length;
    }
    return undefined;
  };
}

/** Answers with 503 after so many milliseconds: what the store still does of the request, it does all the same. */
export const limitTime =
  (milliseconds: number): MiddlewareHandler<Env> =>
  async (context, next) => {
    const done = new AbortController();
    const late = wait(milliseconds, undefined, { signal: done.signal, ref: false }).then(() => {
      context.header('retry-after', '5');
      throw new HttpError(503, 'The store takes too long.', 'Try again in a moment: nothing is stored twice.');
    });
    try {
      await Promise.race([next(), late]);
    } finally {
      done.abort();
    }
  };

/** Refuses a person more than `most` open event streams. */
export function limitStreams(most: number): MiddlewareHandler<Env> {
  const open = new Map<string, number>();
  return async (context, next) => {
    const id = context.get('person')?.id;
    const { outgoing } = (context.env ?? {}) as { outgoing?: ServerResponse };
    if (id === undefined || !outgoing) return next();
    const streams = open.get(id) ?? 0;
    if (streams >= most) {
      throw new HttpError(429, `You have ${most} event streams open.`, 'Close other pages of the studio.');
    }
    open.set(id, streams + 1);
    outgoing.once('close', () => {
      const left = open.get(id)! - 1;
      if (left > 0) open.set(id, left);
      else open.delete(id);
    });
    await next();
    return undefined;
  };
}

/** Ends event streams of people who are no longer signed in, or may do less than when they began; checks `every` ms. */
export function endStreams(authenticate: Authenticate, every: number): MiddlewareHandler<Env> {
  return async (context, next) => {
    await next();
    const { outgoing } = (context.env ?? {}) as { outgoing?: ServerResponse };
    if (!outgoing || !context.res.headers.get('content-type')?.startsWith('text/event-stream')) return;
    const role = context.get('person')?.role;
    const timer = setInterval(async () => {
      const found = await authenticate(context, false).catch(() => undefined);
      // a store that fails is no reason: the stream notices by itself
      if (found && !(found.person && role && mayAs(found.person.role, role))) outgoing.destroy();
    }, every);
    outgoing.once('close', () => clearInterval(timer));
  };
}

/** Refuses new requests while the studio closes. The page keeps judgments and sends them again. */
export const checkDraining =
  (isDraining: () => boolean): MiddlewareHandler =>
  async (context, next) => {
    if (isDraining()) {
      context.header('retry-after', '5');
      context.header('connection', 'close');
      throw new HttpError(503, 'The studio is closing.', 'Try again in a moment.');
    }
    await next();
  };

/** Headers by which browsers load nothing from elsewhere, show nothing in a frame, and run no text as a script. */
export const securityHeaders: MiddlewareHandler = async (context, next) => {
  await next();
  const { headers } = context.res;
  const setDefault = (name: string, value: string) => headers.has(name) || headers.set(name, value);
  setDefault(
    'content-security-policy',
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  );
  headers.set('x-content-type-options', 'nosniff');
  headers.set('x-frame-options', 'DENY');
  headers.set('referrer-policy', 'no-referrer');
  setDefault('cross-origin-opener-policy', 'same-origin');
  headers.set('cross-origin-resource-policy', 'same-origin');
  headers.set('permissions-policy', 'camera=(), microphone=(), geolocation=()');
  setDefault('cache-control', 'no-store');
};

/**
 * Refuses requests to a host name that is not the studio's (DNS rebinding), and changes from pages of another origin. A
 * studio bound to all addresses knows its names only from its owner: with no `hosts`, every name passes. The scheme of
 * an origin is compared where a trusted proxy says which one the browser used.
 */
export function checkHost(hosts: ReadonlySet<string>, trustProxy = false): MiddlewareHandler<Env> {
  return async (context, next) => {
    const host = context.req.header('host') ?? '';
    const name = host.replace(/:\d+$/, '').toLowerCase();
    if (hosts.size > 0 && !hosts.has(name)) {
      throw new HttpError(
        403,
        `The studio cannot be opened as "${name}".`,
        'Open the printed link, or add the name with --hosts.',
      );
    }
    const origin = context.req.header('origin');
    const scheme = trustProxy ? context.req.header('x-forwarded-proto') : undefined;
    if (origin !== undefined && changes(context) && !isSame(origin, host, scheme)) {
      throw new HttpError(403, 'A page of another origin cannot send this request.');
    }
    await next();
  };
}

/** Whether a page of that origin was loaded from this host, and by this scheme if it is known. */
export function isSame(origin: string, host: string, scheme?: string): boolean {
  try {
    const { host: own, protocol } = new URL(origin);
    return own === host && (scheme === undefined || protocol === `${scheme}:`);
  } catch {
    return false;
  }
}

const changes = ({ req }: Context<Env>) => !['GET', 'HEAD', 'OPTIONS'].includes(req.method);

/** How people may be signed in. */
export interface SignInRules {
  /** Seconds without a request after which a session has ended. */
  idleSeconds: number;
  /** Whether only sessions of the sign-in provider count, and no tokens. */
  providerOnly: boolean;
  /** Whether to trust the headers of a proxy in front. */
  trustProxy: boolean;
}

/**
 * Finds the person by the request's token, API key or cookie; empty if it has none, or an invalid one. With `isUse`
 * false, a session does not count as used.
 */
export type Authenticate = (context: Context, isUse?: boolean) => Promise<Variables>;

const wrongKey = () =>
  new HttpError(401, 'The API key is not valid, or has expired.', 'Create one on the page, under your name.');
const wrongToken = () =>
  new HttpError(
    401,
    'This token is not valid.',
    'Ask an owner of the studio for one. A link that heed studio printed ends with that studio.',
  );

/** Whom a token signs in and when it expires (null: on no date), or why it signs nobody in and whose it was. */
export type TokenResult =
  | { person: Person; expires: number | null }
  | { person?: undefined; refused: HttpError; holder?: string };

/** Whom a token signs in. */
export async function byToken(database: Database, token: string): Promise<TokenResult> {
  try {
    return (await personByToken(database, token)) ?? { refused: wrongToken() };
  } catch (error) {
    if (!(error instanceof ExpiredToken)) throw error;
    return { refused: new HttpError(401, error.message, error.hint), holder: error.person.name };
  }
}

/** Creates what finds people by their requests. */
export const createAuthenticate =
  (database: Database, { idleSeconds, providerOnly, trustProxy }: SignInRules): Authenticate =>
  async (context, isUse = true) => {
    const bearer = bearerOf(context.req.header('authorization'));
    if (bearer !== undefined) {
      const byKey = isKey(bearer) ? await apiKeyBySecret(database, bearer) : undefined;
      if (byKey) return byKey;
      const found: TokenResult = providerOnly ? { refused: wrongToken() } : await byToken(database, bearer);
      if (found.person) return { person: found.person };
      return isKey(bearer) ? { refused: wrongKey() } : found;
    }
    const secret = getCookie(context, COOKIE, cookiePrefix(isSecure(context, trustProxy)));
    if (secret === undefined) return {};
    const method = providerOnly ? 'provider' : undefined;
    const found = await sessionOf(database, secret, { idleSeconds, method, isUse });
    return found ? { person: found.person, csrf: found.csrf, session: found.id } : {};
  };

/**
 * Sets the request's person. A session that changes something must send its csrf value. Invalid tokens count as
 * failures of the address that they come from.
 */
export function identify(
  authenticate: Authenticate,
  failures: RateLimit,
  address: (context: Context<Env>) => string,
): MiddlewareHandler<Env> {
  return async (context, next) => {
    const found = await authenticate(context);
    // also of who is refused below: the log says who it was
    for (const [name, value] of Object.entries(found)) context.set(name as keyof Variables, value);
    const { person, csrf } = found;
    if (!person && context.req.header('authorization') !== undefined) failures(address(context));
    if (csrf !== undefined && changes(context) && context.req.header('x-heed-csrf') !== csrf) {
      throw new HttpError(403, 'The x-heed-csrf header does not match the session.', 'Reload the page.');
    }
    await next();
  };
}

/** Counts one more by a key. @throws HttpError 429 if the limit is reached. */
export type RateLimit = (key: string) => void;

/** Allows `most` in `seconds` for each key. */
export function createRateLimit(most: number, seconds: number): RateLimit {
  const take = createBuckets(seconds);
  return (key) => {
    if (take(key, most) < 0) throw new HttpError(429, 'Too many requests.', 'Wait a moment.');
  };
}

/** Refuses addresses that databases and file systems cannot handle. */
export const checkPath: MiddlewareHandler = async (context, next) => {
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
