/** Errors of the studio's API, with the body that its clients read: `{ error: { message, hint } }`. */
import { HeedError } from '../../error.ts';
import { HttpError, isNestedTooDeeply } from '../../http/errors.ts';
import { storeFault } from '../store/database.ts';

/** What becomes of a judgment whose request failed: it may be stored, and is not stored twice. */
const AGAIN = 'Try again in a moment. The page keeps your judgments and sends them again.';

/** The body of the response. */
export const studioErrorBody = ({ message, hint }: HttpError) => ({ error: { message, hint } });

/** An error as the API reports it: a HeedError becomes a 400, a fault of the store a 5xx that says what to do. */
export function studioErrorOf(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof HeedError) return new HttpError(400, error.message, error.hint);
  if (isNestedTooDeeply(error)) return new HttpError(400, 'The body is nested too deeply.');
  const fault = storeFault(error);
  if (fault === 'full' || fault === 'read-only') {
    const what = fault === 'full' ? 'Free space on it' : 'Make it writable';
    const hint = `${what}. The page keeps your judgments and sends them again.`;
    return new HttpError(507, `The studio’s disk is ${fault}: nothing was stored.`, hint);
  }
  if (fault === 'busy' || fault === 'unreachable') {
    const message =
      fault === 'busy' ? 'Another process keeps the store locked.' : 'The studio cannot reach its database.';
    return new HttpError(503, message, AGAIN, { headers: { 'retry-after': '5' } });
  }
  if (fault === 'damaged') {
    return new HttpError(500, 'The store is damaged.', 'Stop the studio and restore the store from a backup.');
  }
  return new HttpError(500, 'The studio failed: this is a bug in heed.', 'See the studio’s terminal for details.');
}
