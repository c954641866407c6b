/** What is observed of each request to a server: an id, counts, a time, a log entry, a span. Never what is in it. */
import { randomUUID } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { matchedRoutes } from 'hono/route';
import type { Metrics } from '../monitoring/metrics.ts';
import { inSpan } from '../monitoring/traces.ts';
import { type ObservedRequest, observeRefusals, type RefusalOptions, type Requester } from './refusals.ts';

/** Seconds by which requests are counted. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Name of the header with the id of a request. */
const REQUEST_ID = 'x-request-id';

/** What is known of a request once its response has begun. */
export interface RequestEntry extends ObservedRequest {
  /** Seconds until the response began. */
  seconds: number;
}

/** Options of `observeRequests`. */
export interface ObserveOptions extends RefusalOptions {
  /** Called with each request. */
  onRequest?: (entry: RequestEntry) => void;
  /** Who sends a request, once its response has begun. */
  requesterOf?: (context: Context) => Requester;
}

/** Probes and scrapes come every few seconds and are no requests of anybody. */
const PROBES = ['/health', '/ready', '/metrics'];

/** Observes each request. It stands before all other middleware. */
export function observeRequests(metrics: Metrics, options: ObserveOptions = {}): MiddlewareHandler {
  const { onRequest, requesterOf = (): Requester => ({}) } = options;
  const refused = observeRefusals(options);
  const requests = metrics.counter('requests_total', 'Requests by method, path and status.');
  const times = metrics.histogram('request_seconds', 'Time until a response begins, by path.', SECONDS);
  return async (context, next) => {
    const request = `req_${randomUUID()}`;
    const { method } = context.req;
    const start = performance.now();
    context.header(REQUEST_ID, request);
    const path = pathOf(context);
    const spanOptions = {
      kind: 'SERVER' as const,
      attributes: { 'http.request.method': method, 'http.route': path, 'heed.request': request },
      traceparent: context.req.header('traceparent'),
    };
    await inSpan(`${method} ${path}`, spanOptions, async (span) => {
      await next();
      const { status } = context.res;
      span?.setAttribute('http.response.status_code', status);
      if (status >= 500) span?.setStatus({ code: 2 });
    });
    const seconds = Math.round(1000 * (performance.now() - start)) / 1e6;
    const { status } = context.res;
    requests.add({ method, path, status: String(status) });
    times.observe(seconds, { path });
    const requester = requesterOf(context);
    const entry = { request, method, path, status, ...(requester.key !== undefined && { key: requester.key }) };
    if (!PROBES.includes(path)) onRequest?.({ ...entry, seconds });
    refused(context, entry, requester);
  };
}

/** The id of a request, once `observeRequests` has seen it. */
export const requestId = (context: Context): string | undefined => context.res.headers.get(REQUEST_ID) ?? undefined;

/** The route of a request. Middleware is registered for all methods, and a route before the files of a page. */
function pathOf(context: Context): string {
  const route = matchedRoutes(context).find(({ method }) => method !== 'ALL');
  return route?.path ?? 'other';
}
