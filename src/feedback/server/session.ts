/** Signing in and out. */
import { Hono } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { z } from 'zod';
import type { Database } from '../database.ts';
import { closeSession, openSession, type Person, personByToken } from '../people.ts';
import { bodyOf, type Env, HttpError, personOf } from './context.ts';
import { COOKIE } from './security.ts';

export const signInSchema = z.object({ token: z.string().min(1).max(200) });

/** `once` tells who has a link's token, which signs in a single time. */
export function sessionRoutes(database: Database, once: (token: string) => Person | undefined): Hono<Env> {
  const told = (person: Person, csrf: string | undefined) => ({ person, csrf });
  return new Hono<Env>()
    .get('/', (context) => context.json(told(personOf(context), context.get('csrf'))))
    .post('/', async (context) => {
      const { token } = await bodyOf(context, signInSchema);
      const person = once(token) ?? (await personByToken(database, token));
      if (!person)
        throw new HttpError(
          401,
          'This token signs nobody in.',
          'A printed link works once; start the studio again for another, or ask its owner for a token.',
        );
      const { secret, csrf } = await openSession(database, person);
      setCookie(context, COOKIE, secret, { httpOnly: true, sameSite: 'Strict', path: '/', maxAge: 14 * 24 * 3600 });
      return context.json(told(person, csrf));
    })
    .delete('/', async (context) => {
      const secret = getCookie(context, COOKIE);
      if (secret !== undefined) await closeSession(database, secret);
      deleteCookie(context, COOKIE, { path: '/' });
      return context.json({});
    });
}
