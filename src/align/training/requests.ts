/** Calls to code and servers outside this project, with timeouts, retries and checks. */

import { CallError, messageWithCauses } from '../../error.ts';
import { wait } from '../../node.ts';

/** Timeout and retries of a call. */
export interface CallSettings {
  /** Seconds before a call times out. */
  timeout: number;
  /** Number of retries of a failed call. */
  retries: number;
  /** Seconds before the first retry, doubled for each further one. */
  pause: number;
}

interface Post<T> {
  url: string;
  headers?: Readonly<Record<string, string>>;
  body: unknown;
  /** The endpoint in errors, such as `The reward at "http://…"`. */
  who: string;
  /** The hint of errors: what the endpoint receives and must return. */
  hint: string;
  /** Parses the reply. An error that it throws causes a retry. */
  read(completion: unknown): T;
}

/**
 * Posts JSON to an endpoint and reads its JSON reply. Retries when the endpoint is unreachable, busy or failing, or its
 * reply cannot be read.
 *
 * @throws HeedError after the last retry, or at once if the request was refused; the signal's reason when it aborts.
 */
export const post = <T>(request: Post<T>, settings: CallSettings, signal: AbortSignal): Promise<T> =>
  retried(settings, signal, () => limited(request.who, settings.timeout, signal, (within) => posted(request, within)));

/** Repeats a call that fails, with pauses. A `RefusedRequest` that is final is not repeated, nor what `isFinal` says. */
export async function retried<T>(
  { retries, pause }: CallSettings,
  signal: AbortSignal | undefined,
  call: () => Promise<T>,
  isFinal = (error: unknown) => error instanceof RefusedRequest && error.final,
): Promise<T> {
  for (let tried = 0; ; tried++) {
    try {
      return await call();
    } catch (error) {
      signal?.throwIfAborted();
      if (tried >= retries || isFinal(error)) throw error;
      const { after = 0 } = error instanceof RefusedRequest ? error : {};
      const seconds = Math.max(pause * 2 ** tried, Math.min(after, LONGEST_WAIT));
      await wait(seconds * 1000, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}

/** The longest `retry-after` that is honored, in seconds. */
const LONGEST_WAIT = 60;

/** A reply with an error status. */
export class RefusedRequest extends CallError {
  /** The body of the reply. */
  readonly text: string;
  /** Whether a retry is pointless. */
  readonly final: boolean;
  /** Seconds to wait before a retry, by the header `retry-after`; 0 without one. */
  readonly after: number;

  constructor(message: string, { status, headers }: Response, text: string, hint: string) {
    super(message, { hint });
    this.text = text;
    this.final = status >= 400 && status < 500 && ![408, 425, 429].includes(status);
    this.after = Number(headers.get('retry-after')) || 0;
  }
}

async function posted<T>({ url, headers, body, who, hint, read }: Post<T>, signal: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
      signal,
    });
  } catch (cause) {
    signal.throwIfAborted();
    const why = cause instanceof Error && cause.cause ? cause.cause : cause;
    throw new CallError(`${who} cannot be reached: ${messageWithCauses(why)}`, {
      hint: 'Check that it is running and that the address is right.',
      cause,
    });
  }
  const text = await response.text();
  if (!response.ok) {
    const detail = text.slice(0, 300) || response.statusText;
    throw new RefusedRequest(`${who} answered ${response.status}: ${detail}`, response, text, hint);
  }
  let completion: unknown;
  try {
    completion = JSON.parse(text);
  } catch (cause) {
    throw new CallError(`${who} replied with something other than JSON: ${text.slice(0, 200)}`, { hint, cause });
  }
  return read(completion);
}

/**
 * Runs a call with a timeout in seconds, even if the call ignores its signal.
 *
 * @param clock The time in milliseconds that the timeout is measured by (default: `performance.now`).
 * @throws HeedError when the call times out; the outer signal's reason when it aborts.
 */
export async function limited<T>(
  who: string,
  seconds: number,
  outer: AbortSignal | undefined,
  call: (signal: AbortSignal) => Promise<T>,
  clock?: () => number,
): Promise<T> {
  const late = new CallError(`${who} took more than ${seconds} s.`, { hint: 'Make it faster, or raise the timeout.' });
  const controller = new AbortController();
  const began = clock?.() ?? 0;
  const check = () => {
    const left = clock ? seconds * 1000 - (clock() - began) : 0;
    if (left > 0) timer = setTimeout(check, left);
    else controller.abort(late);
  };
  let timer = setTimeout(check, seconds * 1000);
  const stop = () => controller.abort(outer!.reason);
  outer?.addEventListener('abort', stop);
  if (outer?.aborted) stop();
  const { signal } = controller;
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    if (signal.aborted) reject(signal.reason);
  });
  try {
    return await Promise.race([call(signal), over]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', stop);
  }
}

/** Runs `call` for each of 0 … count − 1, at most `atOnce` concurrently. If one fails, the others are aborted. */
export async function severally(
  count: number,
  atOnce: number,
  outer: AbortSignal | undefined,
  call: (i: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const signal = outer ? AbortSignal.any([outer, failed.signal]) : failed.signal;
  let next = 0;
  const work = async () => {
    while (next < count) await call(next++, signal);
  };
  try {
    await Promise.all(Array.from({ length: Math.min(atOnce, count) }, work));
  } catch (error) {
    failed.abort();
    throw error;
  }
}
