/** Headers of every response, and addresses that no route should see. */
import type { MiddlewareHandler } from 'hono';
import { HttpError } from './errors.ts';

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
