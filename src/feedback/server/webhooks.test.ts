/** What happens in a project arrives at an address of its owner's: signed, in order, and again where it failed. */
import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { ownStores } from '../../../test/support/stores.ts';
import {
  addItems,
  addPerson,
  assignItems,
  createProject,
  type Database,
  deleteProject,
  openDatabase,
  type Project,
  recordJudgment,
} from '../index.ts';
import { createApp } from './studio-server.ts';
import { startWebhooks } from './webhooks.ts';

interface Received {
  headers: IncomingHttpHeaders;
  text: string;
}

interface Reply {
  id: string;
  secret: string;
  error: { hint: string };
}

interface Listed {
  url: string;
  failures: number;
  deliveries: { status: number | null }[];
}

/** Somebody's server, which says the next of these statuses to each request; the last one from then on. */
async function receiver() {
  const received: Received[] = [];
  let statuses = [200];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    received.push({ headers: request.headers, text });
    response.writeHead(statuses.length > 1 ? statuses.shift()! : statuses[0], { location: '/elsewhere' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`,
    received,
    answers: (...next: number[]) => {
      statuses = next;
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

const { kinds, skipWhereMissing } = await ownStores();
describe.each(kinds)('%s', (kind, address) => {
  skipWhereMissing(kind);
  let database: Database;
  let project: Project;
  let token: string;
  let there: Awaited<ReturnType<typeof receiver>>;
  let stop: () => Promise<void>;
  beforeEach(async () => {
    database = await openDatabase(await address());
    token = (await addPerson(database, 'owner', 'owner')).token;
    project = await createProject(database, 'P', { goldShare: 0 });
    there = await receiver();
    stop = startWebhooks(database, { allowsPrivate: true, every: 20, pause: 30 });
  });
  afterEach(async () => {
    await stop();
    await there.close();
    await database.close();
  });
  const call = async (method: string, path: string, json?: object, privateWebhooks = true) => {
    const app = createApp({ database, privateWebhooks }, () => undefined);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', host: 'localhost' };
    const init = { method, headers, body: json && JSON.stringify(json) };
    const response = await app.request(`http://localhost/api/projects/P/webhooks${path}`, init);
    return { status: response.status, body: (await response.json()) as Reply };
  };
  const listed = async () => (await call('GET', '')).body as unknown as Listed[];
  const judge = async (count: number) => {
    const { person } = await addPerson(database, `Ädä ${count}`);
    const options = ['a', 'b'].map((text) => ({ kind: 'text' as const, text }));
    await addItems(
      database,
      project,
      Array.from({ length: count }, (_, i) => ({ content: { prompt: `${count} ${i}`, options } })),
    );
    for (let i = 0; i < count; i++) {
      const [{ item }] = await assignItems(database, project, person.id);
      const judgment = { kind: 'pair', choice: 'first' } as const;
      await recordJudgment(database, project, person.id, { id: `${count} ${i}`, item: item.id, judgment });
    }
  };
  const judgmentsOf = (all: Received[]) =>
    all
      .map(({ text }) => JSON.parse(text))
      .filter(({ type }) => type === 'judgment')
      .map(({ data }) => data.seq);

  it('sends what happens from then on, signed', async () => {
    await judge(1);
    const added = await call('POST', '', { url: there.url });
    expect(added.status).toBe(201);
    const { secret } = added.body;
    await judge(2);
    await eventually(() => expect(there.received.length).toBeGreaterThanOrEqual(3));
    for (const { headers, text } of there.received) {
      const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`;
      const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
      expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`);
    }
    const types = there.received.map(({ text }) => JSON.parse(text).type);
    expect(types.sort()).toEqual(['items', 'judgment', 'judgment']);
    expect(JSON.parse(there.received[0].text).project).toEqual({ id: project.id, name: 'P' });
    const [hook] = await listed();
    expect(hook).toMatchObject({ url: there.url, failures: 0 });
    expect(JSON.stringify(hook)).not.toContain(secret);
  });

  it('sends again after growing pauses, in order, with the same id, and none is lost', async () => {
    await call('POST', '', { url: there.url });
    there.answers(500, 302, 200, 503, 200);
    await judge(4);
    await eventually(() => expect(new Set(judgmentsOf(there.received)).size).toBe(4));
    const seen = judgmentsOf(there.received);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    const ids = there.received.map(({ headers }) => headers['webhook-id']);
    expect(ids[0]).toBe(ids[1]);
    expect(ids[1]).toBe(ids[2]);
    await eventually(async () => {
      const [{ failures, deliveries }] = await listed();
      expect(failures).toBe(0);
      expect(deliveries.map((one) => one.status)).toEqual(expect.arrayContaining([500, 302, 503, 200]));
    });
    await stop();
    stop = startWebhooks(database, { allowsPrivate: true, every: 20 });
    await judge(1);
    await eventually(() => expect(new Set(judgmentsOf(there.received)).size).toBe(5));
  });

  it('is tested, removed, and gone with the project', async () => {
    const { id } = (await call('POST', '', { url: there.url })).body;
    expect((await call('POST', `/${id}/test`)).body).toEqual({ status: 200, error: null });
    expect(JSON.parse(there.received[0].text)).toMatchObject({ type: 'test', project: { name: 'P' } });
    expect((await call('DELETE', `/${id}`)).status).toBe(200);
    expect((await call('DELETE', `/${id}`)).status).toBe(404);
    await call('POST', '', { url: there.url });
    await judge(1);
    await eventually(() => expect(judgmentsOf(there.received)).toHaveLength(1));
    await stop();
    await deleteProject(database, project, null);
    expect(await database.query.selectFrom('webhooks').selectAll().execute()).toEqual([]);
  });

  it('leads to no private address unless that is allowed, however the address is written', async () => {
    const hosts = [
      'localhost',
      '127.0.0.1',
      '2130706433',
      '0x7f.1',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '10.1.2.3',
      '169.254.169.254',
      '[fd00::1]',
    ];
    for (const host of hosts) {
      const { status, body } = await call('POST', '', { url: `http://${host}:9/` }, false);
      expect([host, status]).toEqual([host, 400]);
      expect(body.error.hint).toContain('--private-webhooks');
    }
    expect((await call('POST', '', { url: 'file:///etc/passwd' }, false)).status).toBe(400);
    expect((await call('POST', '', { url: 'https://me:secret@example.org' }, false)).status).toBe(400);
    // a name that leads here is found out when it is used
    const { id } = (await call('POST', '', { url: there.url.replace('127.0.0.1', 'localhost') })).body;
    const { body } = await call('POST', `/${id}/test`, undefined, false);
    expect(body).toEqual({ status: null, error: expect.stringContaining('an address of this machine') });
    expect(there.received).toEqual([]);
  });
});
