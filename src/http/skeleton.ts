/** What stands before the routes of every server of heed, in this order. Nothing of a body is read before. */
import { type Env, Hono, type MiddlewareHandler } from 'hono';
import { HttpError } from './errors.ts';
import { checkPath, securityHeaders } from './headers.ts';
import { type HealthOptions, healthRoutes } from './health.ts';
import { checkHost, type ServerNames } from './hosts.ts';

/** Options of `createSkeleton`. */
export interface SkeletonOptions extends HealthOptions, ServerNames {
  /** Counts and logs each request. */
  observe: MiddlewareHandler;
  /** Routes for pages of any origin: they stand before the headers that keep these out. */
  open?: Hono;
  /** Refuses requests of pages of other origins, or lets them pass. */
  checkOrigin: MiddlewareHandler;
}

/** Creates the routes of a server, to which its own are added. */
export function createSkeleton<E extends Env>(options: SkeletonOptions): Hono<E> {
  const { name, observe, open = new Hono(), checkOrigin } = options;
  // a trailing slash makes no difference
  const app = new Hono<E>({ strict: false });
  app.use(observe).route('/', open).use(securityHeaders).use(checkPath);
  // probes come by an address, whatever names browsers use
  app.route('/', healthRoutes(options)).use(checkHost(options)).use(checkOrigin);
  app.use(async (_context, next) => {
    if (options.isDraining()) {
      throw new HttpError(503, `The ${name} is closing.`, 'Try again in a moment.', {
        code: 'closing',
        headers: { 'retry-after': '5', connection: 'close' },
      });
    }
    await next();
  });
  return app;
}
