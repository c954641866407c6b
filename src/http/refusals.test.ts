import { Hono } from 'hono';
import { expect, it } from 'vitest';
import { createMetrics } from '../monitoring/metrics.ts';
import { type RefusalEntry, refusalText } from './refusals.ts';
import { observeRequests, type RequestEntry } from './requests.ts';

const secret = 'a'.repeat(43);

/** An error as servers throw them. */
class Refused extends Error {
  readonly isRefusal: boolean | undefined;
  constructor(message: string, isRefusal?: boolean) {
    super(message);
    this.isRefusal = isRefusal;
  }
}

function begin(trustProxy: boolean, now?: () => number) {
  const refusals: RefusalEntry[] = [];
  const requests: RequestEntry[] = [];
  const observe = observeRequests(createMetrics(), {
    trustProxy,
    clock: now,
    onRequest: (entry) => requests.push(entry),
    onRefusal: (entry) => refusals.push(entry),
    requesterOf: () => ({ person: 'ada', key: 'ci' }),
  });
  const app = new Hono()
    .use(observe)
    .get('/refused/:id', () => {
      throw new Refused(`No entry with Bearer ${secret} \u001b[31m\nRefused forged`);
    })
    .get('/hidden', () => {
      throw new Refused('There is none.', true);
    })
    .get('/asked', () => {
      throw new Refused('Not signed in.', false);
    })
    .get('/elsewhere', (context) => context.text('the status of a provider', 401));
  app.onError((error, context) => {
    const status = context.req.path === '/hidden' ? 404 : (error as Refused).isRefusal === false ? 401 : 403;
    return context.text(error.message, status);
  });
  const from = (path: string, forwarded = '9.9.9.9, 1.1.1.1') =>
    app.request(
      path,
      { headers: { 'x-forwarded-for': forwarded } },
      { incoming: { socket: { remoteAddress: '::1' } } },
    );
  return { refusals, requests, from };
}

it('says who was refused what, from where and why, without secrets, on one line', async () => {
  const { refusals, requests, from } = begin(true);
  await from('/refused/7');
  expect(refusals).toEqual([
    {
      request: expect.stringMatching(/^req_/),
      method: 'GET',
      path: '/refused/:id',
      status: 403,
      address: '1.1.1.1',
      person: 'ada',
      key: 'ci',
      reason: 'No entry with …  [31m Refused forged',
    },
  ]);
  expect(refusalText(refusals[0])).toBe(
    'Refused GET /refused/:id with 403: ada, key "ci" from 1.1.1.1: No entry with …  [31m Refused forged',
  );
  // the entry of the request has the same id and the key, and names nobody
  expect(requests).toMatchObject([{ request: refusals[0].request, key: 'ci' }]);
  expect(requests[0]).not.toHaveProperty('person');
});

it('counts by the connection where no proxy is trusted', async () => {
  const { refusals, from } = begin(false);
  await from('/refused/7');
  expect(refusals).toMatchObject([{ address: '::1' }]);
});

it('has entries of what is hidden from somebody, and none of questions and of what a provider answers', async () => {
  const { refusals, from } = begin(true);
  await from('/asked');
  await from('/elsewhere');
  expect(refusals).toEqual([]);
  await from('/hidden');
  expect(refusals).toMatchObject([{ status: 404, path: '/hidden' }]);
});

it('does not let an address fill the log: it counts what it leaves out', async () => {
  let now = 0;
  const { refusals, from } = begin(true, () => now);
  for (let i = 0; i < 100; i++) await from('/refused/7');
  expect(refusals).toHaveLength(60);
  await from('/refused/7', '2.2.2.2');
  expect(refusals.at(-1)).toMatchObject({ address: '2.2.2.2', omitted: 40 });
  expect(refusalText(refusals.at(-1)!)).toContain('40 more before it');
  now += 1000;
  await from('/refused/7');
  expect(refusals).toHaveLength(62);
});
