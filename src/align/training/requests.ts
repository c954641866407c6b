/** Calls of what is outside of this process, which is trusted neither to answer soon nor to answer sense. */
import { setTimeout as wait } from 'node:timers/promises';
import { HeedError, messageOf } from '../../error.ts';

export interface CallSettings {
  /** Seconds that a call may take. */
  timeout: number;
  /** How often a call is made again. */
  retries: number;
  /** Seconds before a call is made again: doubled each time. */
  pause: number;
}

interface Post<T> {
  url: string;
  headers?: Readonly<Record<string, string>>;
  body: unknown;
  /** Whom errors name, such as `The reward at "http://…"`. */
  who: string;
  /** What it gets and should answer, for who has to put it right. */
  hint: string;
  /** Makes sense of the answer. What it throws is a reason to ask again. */
  read(answer: unknown): T;
}

/**
 * Posts JSON to an endpoint and reads the JSON that it answers. It is asked again where it does not answer, is busy, fails, or answers
 * what cannot be read.
 *
 * @throws HeedError where that does not help; the signal's reason where it aborts.
 */
export async function post<T>(request: Post<T>, settings: CallSettings, signal: AbortSignal): Promise<T> {
  for (let tried = 0; ; tried++) {
    try {
      return await limited(request.who, settings.timeout, signal, (within) => posted(request, within));
    } catch (error) {
      signal.throwIfAborted();
      const { final = false, after = 0 } = error instanceof Refused ? error : {};
      if (final || tried >= settings.retries) throw error;
      const seconds = Math.max(settings.pause * 2 ** tried, Math.min(after, LONGEST_WAIT));
      await wait(seconds * 1000, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

/** Seconds that an endpoint may have us wait. */
const LONGEST_WAIT = 60;

/** An answer that is none. */
export class Refused extends HeedError {
  /** What the endpoint said. */
  readonly text: string;
  /** Asking again would not change it; */
  readonly final: boolean;
  /** else, seconds until it may. */
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
    throw new HeedError(`${who} cannot be reached: ${messageOf(why)}`, {
      hint: 'Does it run, and is the address right?',
      cause,
    });
  }
  const text = await response.text();
  if (!response.ok) {
    const said = text.slice(0, 300) || response.statusText;
    throw new Refused(`${who} answered ${response.status}: ${said}`, response, text, hint);
  }
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw new HeedError(`${who} answered what is not JSON: ${text.slice(0, 200)}`, { hint, cause });
  }
  return read(answer);
}

/**
 * Runs a call that ends after so many seconds, whether it heeds the signal or not.
 *
 * @throws HeedError where it takes longer; the outer signal's reason where it aborts.
 */
export async function limited<T>(
  who: string,
  seconds: number,
  outer: AbortSignal | undefined,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new HeedError(`${who} took more than ${seconds} s.`, { hint: 'Make it faster, or allow it more time.' });
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(late), seconds * 1000);
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

/** Runs `call` for each of 0 … count − 1, no more than so many at once. Where one fails, the others are stopped. */
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
