/** Who sends a request, and what they may. */
import type { Context, Env, MiddlewareHandler } from 'hono';
import type { HttpError } from './errors.ts';

/** Who sends a request, as far as a server has found out. */
export interface Identity {
  /** Values for the routes. They are set even if the request is refused: the log says who it was. */
  variables?: object;
  /** Whether the request shows a token or a key that is not valid. */
  isWrong?: boolean;
  /** Why the request goes no further. */
  refused?: HttpError;
}

/**
 * Finds out who sends a request, and refuses who may not go on. `countFailure` counts wrong tokens and keys by the
 * address that they come from, and throws where there were too many: a guess then learns nothing more.
 */
export const identify =
  (
    authenticate: (context: Context) => Promise<Identity>,
    countFailure: (context: Context) => void,
  ): MiddlewareHandler =>
  async (context, next) => {
    const { variables = {}, isWrong, refused } = await authenticate(context);
    for (const [name, value] of Object.entries(variables)) context.set(name, value);
    if (isWrong) countFailure(context);
    if (refused) throw refused;
    await next();
  };

/** Lets a request pass that `check` does not throw at. */
export const allowIf =
  <E extends Env = Env>(check: (context: Context<E>) => void): MiddlewareHandler<E> =>
  async (context, next) => {
    check(context);
    await next();
  };
