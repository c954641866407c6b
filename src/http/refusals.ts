/**
 * Refused requests: who asked from where for what, and why they were refused. Never secrets, nor what people write.
 */
import type { Context } from 'hono';
import { withoutSecrets } from '../monitoring/log.ts';
import { addressOf } from './address.ts';
import { createBuckets } from './buckets.ts';

/** What entries say of every request. */
export interface ObservedRequest {
  /** The id, as in the response's header `x-request-id`. */
  request: string;
  /** The method, such as `GET`. */
  method: string;
  /** The route that answered, such as `/api/projects/:project`: never names of projects, users or models. */
  path: string;
  /** The status of the response. */
  status: number;
  /** Name of the API key that came with the request, if one did. */
  key?: string;
}

/** What is known of a refused request. */
export interface RefusalEntry extends ObservedRequest {
  /** The address of the client, as a trusted proxy or the connection says. */
  address: string;
  /** Name of the person who is signed in, or whose token has expired; absent if nobody is known. */
  person?: string;
  /** Why the request was refused, as the client reads it. */
  reason: string;
  /** Refusals before this one that have no entry, because their addresses had too many in a minute. */
  omitted?: number;
}

/** Who sends a request, as far as the server knows. */
export interface Requester {
  /** Name of the person. */
  person?: string;
  /** Name of the API key. */
  key?: string;
}

/** Options of `observeRefusals`. */
export interface RefusalOptions {
  /** Called with each refused request. */
  onRefusal?: (entry: RefusalEntry) => void;
  /** Whether to trust X-Forwarded-For. */
  trustProxy?: boolean;
  /** The clock by which entries are limited, in milliseconds; the system's by default. */
  clock?: () => number;
}

/** Responses that refuse: not signed in or a wrong key, not allowed, too many requests. */
const STATUSES: readonly number[] = [401, 403, 429];
/** Entries of an address in a minute at most: whoever floods the server does not fill its log. */
const ENTRIES = 60;
/** Characters of a reason or an address at most: some quote a header. */
const LONGEST = 300;

/** An error that says whether it refuses somebody, where its status does not. */
interface MaybeRefusal extends Error {
  isRefusal?: boolean;
}

/** Creates what reports a request that a route or middleware has refused by throwing an error. */
export function observeRefusals({
  onRefusal,
  trustProxy = false,
  clock,
}: RefusalOptions): (context: Context, entry: ObservedRequest, requester: Requester) => void {
  const take = createBuckets(60, clock);
  let omitted = 0;
  return (context, entry, { person }) => {
    const error: MaybeRefusal | undefined = context.error;
    // a provider behind the server may answer with such a status too
    if (!error || !(error.isRefusal ?? STATUSES.includes(entry.status))) return;
    const address = addressOf(context, trustProxy);
    if (take(address, ENTRIES) < 0) {
      omitted++;
      return;
    }
    onRefusal?.({
      ...entry,
      address: oneLine(address),
      ...(person !== undefined && { person }),
      reason: oneLine(withoutSecrets(error.message)),
      ...(omitted > 0 && { omitted }),
    });
    omitted = 0;
  };
}

const oneLine = (text: string) => text.replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ').slice(0, LONGEST);

/** A refused request as a line of text. */
export function refusalText({ method, path, status, address, person, key, reason, omitted }: RefusalEntry): string {
  const who = [person, key === undefined ? undefined : `key "${key}"`].filter((one) => one !== undefined).join(', ');
  const more = omitted === undefined ? '' : ` (${omitted} more before it)`;
  return `Refused ${method} ${path} with ${status}: ${who === '' ? 'unknown' : who} from ${address}: ${reason}${more}`;
}
