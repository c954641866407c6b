/** What a request is refused with. */
import type { Context } from 'hono';
import type { RouterRoute } from 'hono/types';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { HeedError } from '../error.ts';

/** What an `HttpError` says besides its message. */
export interface HttpErrorOptions {
  /** A short name for programs, such as `model_not_found`. */
  code?: string;
  /** Headers of the response, such as Retry-After. */
  headers?: Readonly<Record<string, string>>;
  /** The error behind it. */
  cause?: unknown;
  /** Whether somebody is refused, for the log; by default the status says so. */
  isRefusal?: boolean;
}

/** Refuses a request with a status other than 200. */
export class HttpError extends HeedError {
  /** The HTTP status. */
  readonly status: ContentfulStatusCode;
  /** A short name for programs, if there is one. */
  readonly code: string | null;
  /** Headers of the response. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether somebody is refused, for the log; by default the status says so. */
  readonly isRefusal: boolean | undefined;

  constructor(status: ContentfulStatusCode, message: string, hint?: string, options: HttpErrorOptions = {}) {
    super(message, { hint, cause: options.cause });
    this.status = status;
    this.code = options.code ?? null;
    this.headers = options.headers ?? {};
    this.isRefusal = options.isRefusal;
  }
}

/** Refuses who sends too much; `seconds` is how long to wait. */
export const tooMany = (message: string, { hint, seconds }: { hint?: string; seconds: number }): HttpError =>
  new HttpError(429, message, hint, { code: 'rate_limit_exceeded', headers: { 'retry-after': String(seconds) } });

/** Whether a body was nested so deeply, such as a hundred thousand times, that it could not be read. */
export const isNestedTooDeeply = (thrown: unknown): boolean =>
  thrown instanceof RangeError && /call stack/.test(thrown.message);

/** The methods that the path of a request takes, by the server's routes; empty if there is nothing at the path. */
export function methodsOf(routes: readonly RouterRoute[], { req }: { req: Pick<Context['req'], 'path'> }): string[] {
  const matching = routes.filter(
    ({ method, path }) =>
      method !== 'ALL' &&
      new RegExp(`^${path.replace(/:\w+(\{\.\+\})?/g, (_, all) => (all ? '.+' : '[^/]+'))}/?$`).test(req.path),
  );
  return [...new Set(matching.map(({ method }) => method))];
}
