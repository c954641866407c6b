/**
 * Requests to a provider by Node's own client, over connections that are kept: it does less for a request than `fetch`
 * (docs/lab/serve.md).
 */
import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

/** What is sent. */
export interface ProviderRequest {
  method: string;
  headers: Record<string, string>;
  /** Absent without a body. */
  body?: Uint8Array;
  /** Aborts the request, and the response that is being read. */
  signal: AbortSignal;
}

/** A provider's response. */
export interface ProviderResponse {
  status: number;
  /** Pairs of names, in lower case, and values. */
  headers: [name: string, value: string][];
  /** The body, decompressed. It fails if the provider hangs up before its end. */
  body: Readable;
}

const agents = { 'http:': new PlainAgent({ keepAlive: true }), 'https:': new SecureAgent({ keepAlive: true }) };

const DECODERS: Readonly<Record<string, () => NodeJS.ReadWriteStream & Readable>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** Sends a request. Resolves when the response begins; rejects if there is none. Redirects are not followed. */
export function sendToProvider(
  url: string,
  { method, headers, body, signal }: ProviderRequest,
): Promise<ProviderResponse> {
  const address = new URL(url);
  const secure = address.protocol === 'https:';
  return new Promise((resolve, reject) => {
    const outgoing = (secure ? secureRequest : plainRequest)(address, {
      agent: secure ? agents['https:'] : agents['http:'],
      headers: { ...headers, ...(body && { 'content-length': String(body.byteLength) }) },
      method,
      signal,
    });
    outgoing.once('error', reject);
    outgoing.once('response', (incoming: IncomingMessage) => {
      const decoder = DECODERS[incoming.headers['content-encoding'] ?? ''];
      resolve({
        status: incoming.statusCode!,
        headers: Object.entries(incoming.headers).flatMap(([name, value]) =>
          [value ?? []].flat().map((one): [string, string] => [name, one]),
        ),
        body: decoder ? decoded(incoming, decoder()) : incoming,
      });
    });
    outgoing.end(body);
  });
}

function decoded(incoming: IncomingMessage, decoder: NodeJS.ReadWriteStream & Readable): Readable {
  incoming.once('error', (error) => decoder.destroy(error));
  return incoming.pipe(decoder);
}
