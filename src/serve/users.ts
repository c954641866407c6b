/** DELETE /v1/users/{user}/data: what the server has of an end user. */
import { Hono } from 'hono';
import type { Env, ServeContext } from './context.ts';
import { route } from './route.ts';

const deletion = route({ summary: 'Delete what the server has of an end user', scope: 'admin' });

/** The route that deletes what the server has of a user. */
export const userRoutes = ({ database, hooks }: ServeContext): Hono<Env> =>
  new Hono<Env>().delete('/users/:user/data', deletion, async (c) => {
    const user = c.req.param('user');
    for (const settle of hooks.settle) await settle();
    const { numDeletedRows } = await database.deleteFrom('completions').where('user', '=', user).executeTakeFirst();
    const deleted: Record<string, number> = { completions: Number(numDeletedRows) };
    for (const forget of hooks.forget) Object.assign(deleted, await forget(user));
    return c.json({ object: 'user.data.deleted', user, deleted });
  });
