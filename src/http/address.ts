/** The address that a request comes from, behind a proxy or without one. */
import type { IncomingMessage } from 'node:http';
import type { Context } from 'hono';

/**
 * The address of the client. A trusted proxy adds it as the last entry of X-Forwarded-For; clients may have written the
 * entries before that one. Empty for a request that did not come over a network.
 */
export function addressOf(context: Context, trustProxy: boolean): string {
  const forwarded = trustProxy ? context.req.header('x-forwarded-for')?.split(',').at(-1)?.trim() : undefined;
  return forwarded || (connectionOf(context) ?? '');
}

/** The address at the other end of the connection: that of a proxy, if there is one. */
export const connectionOf = (context: Context): string | undefined =>
  (context.env as { incoming?: IncomingMessage } | undefined)?.incoming?.socket?.remoteAddress;
