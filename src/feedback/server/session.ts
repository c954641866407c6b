/** Signing in and out. */
import { type Context, Hono } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { z } from 'zod';
import { closeSession, openSession, type Person, personByToken } from '../people.ts';
import type { Database } from '../store/database.ts';
import { bodyOf, type Env, HttpError, personOf } from './context.ts';
import { type Buckets, COOKIE } from './security.ts';

export const signInSchema = z.object({ token: z.string().min(1).max(200) });

interface SessionOptions {
  /** Sign-ins that failed, by address. */
  failures: Buckets;
  address: (context: Context<Env>) => string;
  trustProxy: boolean;
}

/** `once` tells who has a link's token, which signs in a single time. */
export function sessionRoutes(
  database: Database,
  once: (token: string) => Person | undefined,
  { failures, address, trustProxy }: SessionOptions,
): Hono<Env> {
  const told = (person: Person, csrf: string | undefined) => ({ person, csrf });
  return new Hono<Env>()
    .get('/', (context) => context.json(told(personOf(context), context.get('csrf'))))
    .post('/', async (context) => {
      const { token } = await bodyOf(context, signInSchema);
      failures.check(address(context));
      const person = once(token) ?? (await personByToken(database, token));
      if (!person) {
        failures.take(address(context));
        throw new HttpError(
          401,
          'This token signs nobody in.',
          'A printed link works once; start the studio again for another, or ask its owner for a token.',
        );
      }
      const { secret, csrf } = await openSession(database, person);
      const secure = trustProxy && context.req.header('x-forwarded-proto') === 'https';
      const kept = { httpOnly: true, sameSite: 'Strict', path: '/', maxAge: 14 * 24 * 3600 } as const;
      setCookie(context, COOKIE, secret, { ...kept, secure });
      return context.json(told(person, csrf));
    })
    .delete('/', async (context) => {
      const secret = getCookie(context, COOKIE);
      if (secret !== undefined) await closeSession(database, secret);
      deleteCookie(context, COOKIE, { path: '/' });
      return context.json({});
    });
}
