/** A Hub on this machine: the endpoints that a pull asks, large files on a host of their own, and faults on demand. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeRepo {
  commit: string;
  /** Content by path; more than 100 bytes is a large file (LFS). */
  files: Record<string, string | Buffer>;
  /** Other revisions than main and the commit. */
  revisions?: Record<string, FakeRepo>;
}

export interface Seen {
  host: 'hub' | 'storage';
  path: string;
  authorization: string | undefined;
  range: string | undefined;
}

export interface FakeHub {
  endpoint: string;
  /** By `models/OWNER/NAME` or `datasets/OWNER/NAME`. */
  repos: Record<string, FakeRepo>;
  /** Every request so far. */
  seen: Seen[];
  /** Answers a request itself and returns true, or leaves it to the Hub. */
  fault?: (request: IncomingMessage, response: ServerResponse, host: Seen['host']) => boolean;
  /** Changes an entry of the listing before it is sent. */
  entry?: (entry: Record<string, unknown>) => Record<string, unknown>;
  /** The host of large files honors Range; true unless told. */
  ranges: boolean;
  close(): Promise<void>;
}

export const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex');
export const gitSha1 = (bytes: string | Buffer) =>
  createHash('sha1')
    .update(`blob ${Buffer.byteLength(bytes)}\0`)
    .update(bytes)
    .digest('hex');
const isLarge = (bytes: string | Buffer) => Buffer.byteLength(bytes) > 100;

export async function startHub(): Promise<FakeHub> {
  const listen = async (host: Seen['host'], answer: (request: IncomingMessage, response: ServerResponse) => void) => {
    const server = createServer((request, response) => {
      const { authorization, range } = request.headers;
      hub.seen.push({ host, path: decodeURI(request.url!), authorization, range });
      if (!hub.fault?.(request, response, host)) answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
  };
  const addressOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const storage = await listen('storage', (request, response) => {
    const oid = request.url!.slice(1).split('?')[0];
    for (const repo of Object.values(hub.repos).flatMap((one) => [one, ...Object.values(one.revisions ?? {})])) {
      const found = Object.values(repo.files).find((bytes) => sha256(bytes) === oid);
      if (found) return sendBytes(request, response, Buffer.from(found), hub.ranges);
    }
    refuse(response, 404, 'EntryNotFound');
  });
  const main = await listen('hub', (request, response) => {
    const path = decodeURIComponent(request.url!.split('?')[0]);
    const query = new URL(request.url!, 'http://hub').searchParams;
    const api = /^\/api\/((?:models|datasets)\/[^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(path);
    const file = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const name = api?.[1] ?? `${file?.[1] ?? 'models/'}${file?.[2]}`;
    const revision = api?.[3] ?? file?.[3] ?? '';
    if (!Object.hasOwn(hub.repos, name)) return refuse(response, 404, 'RepoNotFound');
    const repo = atRevision(hub.repos[name], revision);
    if (!repo) return refuse(response, 404, 'RevisionNotFound');
    if (api?.[2] === 'revision') return sendJson(response, { _id: '1', id: name, sha: repo.commit });
    if (api) {
      // pages of two, as the Hub has pages of a thousand
      const from = Number(query.get('cursor') ?? 0);
      const entries = [
        { type: 'directory', oid: '0', size: 0, path: 'data' },
        ...Object.entries(repo.files).map(entryOf),
      ];
      if (from + 2 < entries.length) {
        response.setHeader('Link', `<${hub.endpoint}${request.url!.split('?')[0]}?cursor=${from + 2}>; rel="next"`);
      }
      return sendJson(response, entries.slice(from, from + 2).map(hub.entry ?? ((entry) => entry)));
    }
    const bytes = repo.files[file![4]];
    if (bytes === undefined) return refuse(response, 404, 'EntryNotFound');
    response.setHeader('X-Repo-Commit', repo.commit);
    if (!isLarge(bytes)) {
      response.setHeader('ETag', `"${gitSha1(bytes)}"`);
      return sendBytes(request, response, Buffer.from(bytes), hub.ranges);
    }
    const oid = sha256(bytes);
    const linked = { 'X-Linked-Size': Buffer.byteLength(bytes), 'X-Linked-ETag': `"${oid}"` };
    response.writeHead(302, { ...linked, Location: `${addressOf(storage)}/${oid}?signature=abc` }).end();
  });
  const hub: FakeHub = {
    endpoint: addressOf(main),
    repos: {},
    seen: [],
    ranges: true,
    async close() {
      for (const server of [main, storage]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
  return hub;
}

function atRevision(repo: FakeRepo, revision: string): FakeRepo | undefined {
  if (revision === 'main' || revision === repo.commit) return repo;
  const others = repo.revisions ?? {};
  return others[revision] ?? Object.values(others).find(({ commit }) => commit === revision);
}

function entryOf([path, bytes]: [string, string | Buffer]): Record<string, unknown> {
  const size = Buffer.byteLength(bytes);
  const large = isLarge(bytes) && { lfs: { oid: sha256(bytes), size, pointerSize: 130 } };
  return { type: 'file', path, size, oid: gitSha1(bytes), ...large };
}

export function refuse(response: ServerResponse, status: number, code?: string): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...(code && { 'X-Error-Code': code }) });
  response.end(JSON.stringify({ error: code ?? 'no' }));
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(value));
}

/** Sends a file, or what is left of it from the first byte of Range. */
export function sendBytes(request: IncomingMessage, response: ServerResponse, bytes: Buffer, ranges = true): void {
  const from = ranges ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
  const part = bytes.subarray(from);
  response.setHeader('Content-Length', part.length);
  if (from > 0) response.setHeader('Content-Range', `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
  response.writeHead(from > 0 ? 206 : 200);
  response.end(part);
}

/** Sends the head of a file up to this byte, and cuts the connection. */
export function cutAfter(request: IncomingMessage, response: ServerResponse, bytes: Buffer, end: number): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  response.setHeader('Content-Length', bytes.length - from);
  if (from > 0) response.setHeader('Content-Range', `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
  response.writeHead(from > 0 ? 206 : 200);
  response.write(bytes.subarray(from, end), () => setImmediate(() => request.socket.destroy()));
}
