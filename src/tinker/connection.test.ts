import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { connect } from './connection.ts';

let close = () => {};
afterEach(() => close());

/** A server that answers with these statuses in turn, the last one for ever. Returns its address and what it was asked. */
async function answering(...statuses: number[]): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer(({ url }, response) => {
    const status = statuses[Math.min(asked.length, statuses.length - 1)];
    asked.push(url!);
    response.writeHead(status).end('{"detail":"not today"}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

it.each([408, 409, 429, 500, 503])('asks again after status %s, which may pass', async (status) => {
  const { url, asked } = await answering(status, 200);
  expect(await connect({ url }).post('/step', {})).toEqual({ detail: 'not today' });
  expect(asked).toHaveLength(2);
});

it('asks once where the request is at fault', async () => {
  const { url, asked } = await answering(400);
  await expect(connect({ url }).post('/step', {})).rejects.toMatchObject({ status: 400, message: 'not today' });
  expect(asked).toHaveLength(1);
});

it('gives up at the end of its patience, with what the server said', async () => {
  const { url } = await answering(503);
  await expect(connect({ url, patience: 0 }).post('/step', {})).rejects.toThrow('not today');
});
