import { Hono } from 'hono';
import { expect, it } from 'vitest';
import { bearerOf } from '../monitoring/access.ts';
import { limitBody, readJsonBody } from './bodies.ts';
import { createRateLimit } from './buckets.ts';
import { identify } from './callers.ts';
import { errorHandler } from './error-handler.ts';
import { HttpError, methodsOf } from './errors.ts';
import { createShares, limitConcurrency } from './shares.ts';

const errors = (reports: string[] = []) =>
  errorHandler({
    errorOf: (thrown) => (thrown instanceof HttpError ? thrown : new HttpError(500, 'failed')),
    bodyOf: ({ message, hint, code }) => ({ message, hint, code }),
    report: (text) => reports.push(text),
  });

it('counts what is in use by sender, and takes each away once', () => {
  const shares = createShares();
  const [first, second] = [shares.take('ada', 2), shares.take('ben', 3)];
  expect([shares.of('ada'), shares.of('ben'), shares.of('eve'), shares.total]).toEqual([2, 3, 0, 5]);
  first();
  first();
  expect([shares.of('ada'), shares.total]).toEqual([0, 3]);
  second();
  expect(shares.total).toBe(0);
});

it('refuses one request too many of a sender, and no other sender', async () => {
  let release = () => {};
  const waiting = new Promise<void>((resolve) => {
    release = resolve;
  });
  const app = new Hono()
    .use(
      limitConcurrency(({ req }) => ({
        sender: req.header('from'),
        most: 1,
        refuse: (underWay) => new HttpError(429, `${underWay} under way`),
      })),
    )
    .get('/', async (c) => {
      await waiting;
      return c.text('done');
    });
  app.onError(errors());
  const get = (from?: string) => app.request('/', { headers: from === undefined ? {} : { from } });
  const first = get('ada');
  expect((await get('ada')).status).toBe(429);
  const others = [get('ben'), get(), get()];
  release();
  expect((await Promise.all([first, ...others])).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect((await get('ada')).status).toBe(200);
});

it('refuses bodies by their length, by their chunks, and by what is under way', async () => {
  const app = new Hono();
  app
    .use(limitBody(() => ({ largest: 10, sender: 'ada' }), { each: 2, all: 15, name: 'server' }))
    .post('/', async (c) => {
      const body = await c.req.text();
      if (body !== 'outer') return c.text(body);
      const inner = await app.request('/', { method: 'POST', body: 'ten bytes.', headers: { 'content-length': '10' } });
      const tooMuch = await app.request('/', { method: 'POST', body: 'x', headers: { 'content-length': '11' } });
      return c.json([inner.status, tooMuch.status]);
    });
  app.onError(errors());
  const post = (body: string, headers: Record<string, string>) => app.request('/', { method: 'POST', body, headers });
  const chunked = { 'transfer-encoding': 'chunked' };
  expect((await post('ten bytes.', { 'content-length': '10' })).status).toBe(200);
  expect((await post('ten bytes!!', { 'content-length': '11' })).status).toBe(413);
  expect((await post('ten bytes.', chunked)).status).toBe(200);
  expect((await post('ten bytes!!', chunked)).status).toBe(413);
  // while 5 bytes are under way, 10 more fill the server; a body in chunks counts as the largest one
  expect(await (await post('outer', { 'content-length': '5' })).json()).toEqual([200, 413]);
  expect(await (await post('outer', chunked)).json()).toEqual([503, 413]);
});

it('counts wrong keys before it says anything else', async () => {
  const limit = createRateLimit({ perMinute: 2, clock: () => 0 });
  const app = new Hono()
    .use(
      identify(
        async ({ req }) => {
          const key = bearerOf(req.header('authorization'));
          if (key === 'right') return { variables: { caller: key } };
          return { isWrong: key !== undefined, refused: new HttpError(401, 'who are you?') };
        },
        () => limit('address'),
      ),
    )
    .get('/', (c) => c.text(String(c.get('caller' as never))));
  app.onError(errors());
  const get = (authorization: string) => app.request('/', { headers: { authorization } });
  expect((await get('Bearer wrong')).status).toBe(401);
  // a header without a key shows none
  for (const nothing of ['', 'Bearer', 'Bearer ']) expect((await get(nothing)).status).toBe(401);
  expect((await get('bearer wrong')).status).toBe(401);
  const refused = await get('Bearer wrong');
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).toBe('30');
  expect(await (await get('BEARER  right')).text()).toBe('right');
});

it('reports failures of the server, and no refusals', async () => {
  const reports: string[] = [];
  const app = new Hono();
  app
    .get('/bug', () => {
      throw new TypeError('a bug');
    })
    .get('/closing', () => {
      throw new HttpError(503, 'closing', undefined, { headers: { 'retry-after': '5' } });
    })
    .post('/json', async (c) => c.json(await readJsonBody(c)))
    .get('/models/:model{.+}', (c) => c.text(''))
    .delete('/models/:model{.+}', (c) => c.text(''))
    .all('*', (c) => c.json(methodsOf(app.routes, c)));
  app.onError(errors(reports));
  expect((await app.request('/bug')).status).toBe(500);
  const closing = await app.request('/closing');
  expect([closing.status, closing.headers.get('retry-after')]).toEqual([503, '5']);
  expect((await app.request('/json', { method: 'POST', body: '{' })).status).toBe(400);
  expect(reports).toEqual(['GET /bug: a bug']);
  expect(await (await app.request('/models/a/b', { method: 'PUT' })).json()).toEqual(['GET', 'DELETE']);
  expect(await (await app.request('/nothing', { method: 'PUT' })).json()).toEqual([]);
});
