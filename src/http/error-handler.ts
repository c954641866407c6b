/** How any error becomes a response, in the form of the server's API. */
import type { ErrorHandler } from 'hono';
import { messageOf } from '../error.ts';
import { HttpError } from './errors.ts';
import { requestId } from './requests.ts';

/** How a server reports errors. */
export interface ErrorRules<E extends HttpError> {
  /** Any error as one of the server's own. */
  errorOf(thrown: unknown): E;
  /** The body of the response. */
  bodyOf(error: E): object;
  /** Tells who runs the server about failures of the server itself, and the id of the request. */
  report(text: string, request: string | undefined): void;
}

/** Answers errors in the form of the server's API, and reports those that are not the client's doing. */
export const errorHandler =
  <E extends HttpError>({ errorOf, bodyOf, report }: ErrorRules<E>): ErrorHandler =>
  (thrown, context) => {
    const error = errorOf(thrown);
    const isFailure = error.status >= 500 && !(thrown instanceof HttpError && thrown.status !== 500);
    if (isFailure) report(`${context.req.method} ${context.req.path}: ${messageOf(thrown)}`, requestId(context));
    return context.json(bodyOf(error), error.status, error.headers);
  };
