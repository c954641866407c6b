/**
 * Requests to a Hub. The token goes to its own host only, temporary failures are retried, and a refusal says what to
 * do.
 */

import { HeedError } from '../../error.ts';
import { type RetryOptions, reasonOf, retryAfter, retrying, Transient } from '../../retry.ts';

/** A model or a dataset, at a branch, tag or commit. */
export interface Repo {
  type: 'model' | 'dataset';
  /** OWNER/NAME */
  name: string;
  revision: string;
}

export interface HubOptions extends RetryOptions {
  /** Address of the Hub. Default: HF_ENDPOINT, else the public Hub. */
  endpoint?: string;
  /** Access token. Default: HF_TOKEN. Sent to the endpoint only, never to a redirect. */
  token?: string;
}

export interface Hub extends Omit<HubOptions, 'endpoint'> {
  /** Address, without a trailing slash. */
  endpoint: string;
  repo: Repo;
}

/** What to do about a temporary failure of a download. */
export const KEPT = 'Try again later: downloaded parts are kept.';

/**
 * Checks the address and the token.
 *
 * @throws HeedError, which never shows the token.
 */
export function openHub(repo: Repo, options: HubOptions): Hub {
  const address = options.endpoint ?? (process.env.HF_ENDPOINT || 'https://huggingface.co');
  const token = (options.token ?? process.env.HF_TOKEN ?? '').trim();
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username || url.search || url.hash) {
    throw new HeedError(
      "The Hub's address is wrong: expected an http or https address without a user, query or fragment.",
      { hint: 'Correct HF_ENDPOINT, or unset it for the public Hub.' },
    );
  }
  if (!/^[\x21-\x7e]*$/.test(token)) {
    throw new HeedError(
      'The token has characters that tokens never have: expected letters, digits and signs of ASCII.',
      {
        hint: 'Correct HF_TOKEN.',
      },
    );
  }
  return { ...options, repo, endpoint: address.replace(/\/+$/, ''), token };
}

/**
 * One request, without retries. Returns a successful answer.
 *
 * @throws HeedError; a Transient one for temporary failures.
 */
export async function request(hub: Hub, url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  // fetch drops this header when it follows a redirect to another origin
  if (hub.token && new URL(url).origin === new URL(hub.endpoint).origin) {
    headers.set('authorization', `Bearer ${hub.token}`);
  }
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, signal: hub.signal });
  } catch (cause) {
    throw broken(hub, cause);
  }
  if (response.ok) return response;
  await response.body?.cancel();
  throw refusal(hub, response);
}

/** The bytes of an answer's body as they arrive. Throws as `request` does. */
export async function* bytesOf(hub: Hub, response: Response): AsyncGenerator<Uint8Array> {
  try {
    if (response.body) yield* response.body;
  } catch (cause) {
    throw broken(hub, cause);
  }
}

/** `fetch` for the library's calls: complete answers, with retries. */
export const hubFetch = (hub: Hub): typeof fetch =>
  ((input, init) =>
    retrying(hub, async () => {
      const response = await request(hub, String(input), init);
      const parts: Uint8Array[] = [];
      for await (const part of bytesOf(hub, response)) parts.push(part);
      return new Response(Buffer.concat(parts), { status: response.status, headers: response.headers });
    })) satisfies typeof fetch;

function broken(hub: Hub, cause: unknown): HeedError {
  hub.signal?.throwIfAborted();
  return new Transient(`The connection to ${hub.endpoint} failed (${reasonOf(cause)}).`, {
    hint:
      'Check the network and HF_ENDPOINT, and try again: downloaded parts are kept. ' +
      'HF_HUB_OFFLINE=1 uses what is there already.',
    cause,
  });
}

function refusal({ endpoint, repo, token }: Hub, { status, headers }: Response): HeedError {
  const { type, name, revision } = repo;
  const page = `${endpoint}/${type === 'dataset' ? 'datasets/' : ''}${name}`;
  const code = headers.get('x-error-code');
  if (status === 429 || status >= 500) {
    const what = status === 429 ? 'too many requests' : 'it is in trouble';
    return new Transient(`${endpoint} answered ${status}: ${what}.`, {
      after: retryAfter(headers.get('retry-after')),
      hint: KEPT,
    });
  }
  if (code === 'GatedRepo') {
    const whose = token ? 'the one set is of another account, or may not read gated repositories' : 'none is set';
    return new HeedError(`The ${type} "${name}" is gated: its license has to be accepted first (${status}).`, {
      hint: `Accept the license at ${page}, and set HF_TOKEN to a token of that account (${whose}).`,
    });
  }
  if (code === 'RevisionNotFound') {
    return new HeedError(`The ${type} "${name}" has no revision "${revision}".`, {
      hint: `Expected a branch, a tag or a commit: see ${page}`,
    });
  }
  if (status === 404 || code === 'RepoNotFound') {
    const other = type === 'model' ? 'A dataset is not a model (--dataset). ' : 'A model is not a dataset. ';
    return new HeedError(`${endpoint} shows no ${type} "${name}" (${status}).`, {
      hint: `Check the name, or the path if it is a folder of yours. ${other}A private one needs ${token ? 'another' : 'a token in'} HF_TOKEN.`,
    });
  }
  if (status === 401 || status === 403) {
    return new HeedError(`${endpoint} refused the ${type} "${name}" (${status}).`, {
      hint: token
        ? `Check that the token in HF_TOKEN is valid and may read it; a gated one asks to accept its license at ${page}`
        : `Set HF_TOKEN to a token that may read it; a gated one asks to accept its license at ${page}`,
    });
  }
  return new HeedError(`${endpoint} answered ${status} for the ${type} "${name}".`, { hint: `Does ${page} open?` });
}

/** An error for an answer that no Hub gives. */
export const notAHub = ({ endpoint }: Hub, what: string, cause?: unknown) =>
  new HeedError(`${endpoint} does not answer like a Hub: ${what}.`, { hint: 'Check HF_ENDPOINT.', cause });
