/** HTTP to a server of Tinker's API: requests that are sent again after passing failures, and results to come. */
import { HeedError, messageOf } from '../error.ts';
import { decodeForwardBackwardOutput, decodeSampleResult, PROTOBUF } from './messages.ts';
import { API, type ForwardBackwardOutput, type SampleResult } from './protocol.ts';

/** Thrown when a server of Tinker's API refuses a request, or fails in it. */
export class TinkerError extends HeedError {
  /** The HTTP status; 0 if the request was accepted and failed later. */
  readonly status: number;
  /** Whose fault it is, as far as the server says. */
  readonly category: 'user' | 'server' | 'unknown';

  constructor(message: string, status: number, category: TinkerError['category'] = 'unknown') {
    super(message);
    this.status = status;
    this.category = category;
  }
}

/** How to reach a server. */
export interface ConnectionOptions {
  /** The server's address, such as `http://127.0.0.1:7420`. */
  url: string;
  /** The key: `X-API-Key`. */
  key?: string;
  /** Ends all requests. */
  signal?: AbortSignal | undefined;
  /**
   * How long a request is sent again after failures that may pass, in ms; 5 minutes by default, and 5 s for the first one
   * of a client.
   */
  patience?: number;
}

/** A connection to a server. */
export interface Connection {
  /** Sends a request. @throws TinkerError if it is refused, HeedError if the server cannot be reached. */
  post(path: string, body: object | Uint8Array<ArrayBuffer>): Promise<unknown>;
  /** The result of an accepted request. @throws TinkerError if it failed. */
  result(requestId: string): Promise<unknown>;
}

const passing = (status: number) => status === 408 || status === 409 || status === 429 || status >= 500;
const MOST_PAUSE = 30_000; // ms
const BREATH = 50; // ms before a result is asked for again
const wait = (milliseconds: number, signal: AbortSignal | undefined) =>
  new Promise<void>((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', end);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', end, { once: true });
  });

/** Makes a connection. */
export function connect({ url, key, signal, patience = 5 * 60_000 }: ConnectionOptions): Connection {
  const base = url.replace(/\/+$/, '') + API;

  /** One response, after as many attempts as it takes. A status that `accepts` is one, too. */
  const send = async (path: string, init: RequestInit, accepts = (_: number) => false): Promise<Response> => {
    const began = Date.now();
    for (let attempt = 0; ; attempt++) {
      let failure: HeedError;
      let pause = Math.min(MOST_PAUSE, 500 * 2 ** attempt);
      try {
        const response = await fetch(`${base}${path}`, { ...init, signal });
        if (response.ok || accepts(response.status)) return response;
        failure = new TinkerError(await refusalOf(response), response.status);
        if (!passing(response.status)) throw failure;
        pause = Math.max(pause, 1000 * Number(response.headers.get('retry-after') ?? 0) || 0);
      } catch (cause) {
        if (signal?.aborted || cause instanceof TinkerError) throw cause;
        failure = new HeedError(`The server at ${url} cannot be reached: ${messageOf(cause)}`, {
          hint: 'Check the address, and that the server is running: heed serve --tinker',
          cause,
        });
      }
      if (Date.now() - began + pause > patience) throw failure;
      await wait(pause, signal);
    }
  };
  const headers = { ...(key !== undefined && { 'x-api-key': key }), accept: `${PROTOBUF}, application/json` };

  const post = (path: string, body: object | Uint8Array<ArrayBuffer>, accepts?: (status: number) => boolean) => {
    const binary = body instanceof Uint8Array;
    const type = { 'content-type': binary ? PROTOBUF : 'application/json' };
    return send(
      path,
      { method: 'POST', headers: { ...headers, ...type }, body: binary ? body : JSON.stringify(body) },
      accepts,
    );
  };
  return {
    post: async (path, body) => (await post(path, body)).json(),
    async result(request_id) {
      for (;;) {
        const response = await post('/retrieve_future', { request_id }, (status) => status === 408);
        const type = response.headers.get('content-type');
        if (response.ok && type?.startsWith(PROTOBUF)) return new Uint8Array(await response.arrayBuffer());
        const text = await response.text();
        const body = (response.ok ? JSON.parse(text) : { type: 'try_again' }) as Failure & { type?: string };
        if (typeof body.error === 'string') throw new TinkerError(body.error, 0, body.category);
        if (body.type !== 'try_again') return body;
        await wait(BREATH, signal);
      }
    },
  };
}

type Failure = { error?: string; category?: TinkerError['category'] };

/** The result of a pass, which may have come as Protocol Buffers. */
export const passOf = (result: unknown): ForwardBackwardOutput =>
  result instanceof Uint8Array ? decodeForwardBackwardOutput(result) : (result as ForwardBackwardOutput);

/** Samples, which may have come as Protocol Buffers. */
export const samplesOf = (result: unknown): SampleResult =>
  result instanceof Uint8Array ? decodeSampleResult(result) : (result as SampleResult);

/** What a server says of a request that it refuses, in heed's form or in others'. */
async function refusalOf(response: Response): Promise<string> {
  const body = await response.text();
  try {
    const { error, detail } = JSON.parse(body);
    const message = error?.message ?? error ?? detail;
    if (message !== undefined) return typeof message === 'string' ? message : JSON.stringify(message);
  } catch {
    // no JSON
  }
  return `The server responded with status ${response.status}${body ? `: ${body.slice(0, 200)}` : ''}.`;
}
