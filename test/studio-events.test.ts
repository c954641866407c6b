/** What happens in a project, heard over HTTP: on SQLite, and on PostgreSQL from two servers. */
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  addPerson,
  type Client,
  createClient,
  type Database,
  type NewItem,
  openDatabase,
  type Studio,
  type StudioEvent,
  startStudio,
} from '../src/feedback/index.ts';
import { ownStores } from './support/stores.ts';

const { kinds, skipWhereMissing } = await ownStores();

const pairs = (from: number, to: number): NewItem[] =>
  Array.from({ length: to - from }, (_, i) => ({
    content: { prompt: `${from + i}`, options: ['a', 'b'].map((text) => ({ kind: 'text', text })) },
  }));
const first = { kind: 'pair', choice: 'first' } as const;

describe.each(kinds)('%s', (kind, address) => {
  let databases: Database[];
  let studios: Studio[];
  let owner: Client;
  let annotator: Client;
  const closing = new AbortController();
  afterAll(() => closing.abort());

  skipWhereMissing(kind);
  beforeEach(async () => {
    const at = await address();
    // two servers share a PostgreSQL; a file has one
    databases = [await openDatabase(at), ...(kind === 'PostgreSQL' ? [await openDatabase(at)] : [])];
    studios = await Promise.all(databases.map((database) => startStudio({ database })));
    const tokenOf = async (name: string, role: 'owner' | 'annotator') =>
      (await addPerson(databases[0], name, role)).token;
    owner = createClient({ url: studios[0].url, token: await tokenOf('olga', 'owner') });
    annotator = createClient({ url: studios.at(-1)!.url, token: await tokenOf('ada', 'annotator') });
    await owner.createProject('p', { settings: { goldShare: 0, overlap: 2 } });
    await owner.setMembers('p', ['ada']);
    await owner.addItems('p', pairs(0, 20));
  });
  afterEach(async () => {
    await Promise.all((studios ?? []).map((studio) => studio.close()));
    await Promise.all((databases ?? []).map((database) => database.close()));
  });

  let judgments = 0;
  async function say(client: Client): Promise<string> {
    const [{ item }] = await client.next('p');
    await client.judge('p', { id: `v${judgments++}`, item: item.id, judgment: first });
    return item.id;
  }

  it('owners hear who voted, annotators how many; both of items, settings and guidelines', async () => {
    const [hearing, counting] = [owner, annotator].map((client) => client.events('p', { signal: closing.signal }));
    const next = async (stream: AsyncGenerator<StudioEvent>) => (await stream.next()).value as StudioEvent;
    expect(await next(hearing)).toMatchObject({ kind: 'open' });
    expect(await next(counting)).toMatchObject({ kind: 'open' });
    const item = await say(annotator);
    expect(await next(hearing)).toMatchObject({ kind: 'judgment', person: 'ada', item, said: 'judgment' });
    const { id: _, ...told } = await next(counting);
    expect(told).toEqual({ kind: 'judgments', count: 1 });
    await owner.addItems('p', pairs(20, 23));
    expect(await next(hearing)).toMatchObject({ kind: 'items', added: 3, person: 'olga' });
    expect(await next(counting)).toEqual({ kind: 'items', added: 3, known: 0, id: expect.any(String) });
    await owner.changeSettings('p', { overlap: 3 });
    expect(await next(counting)).toMatchObject({ kind: 'settings', changes: { overlap: 3 } });
    await owner.writeGuidelines('p', 'Be kind.');
    expect(await next(counting)).toMatchObject({ kind: 'guidelines', version: 2 });
    expect(await next(hearing)).toMatchObject({ kind: 'settings' });
    // what was not changed stays
    expect((await owner.project('p')).settings).toMatchObject({ overlap: 3, goldShare: 0 });
    await Promise.all([hearing, counting].map((stream) => stream.return(undefined)));
  });

  it('nothing is missed or heard twice where the stream breaks again and again, while people judgment', async () => {
    const heard: string[] = [];
    let after = '0,0';
    const said: string[] = [];
    const voting = (async () => {
      for (let i = 0; i < 12; i++) said.push(...(await Promise.all([say(annotator), say(owner)])));
    })();
    while (heard.length < 24) {
      const broken = new AbortController();
      let count = 0;
      for await (const event of owner.events('p', { after, signal: broken.signal })) {
        after = event.id;
        if (event.kind === 'judgment') heard.push(event.item as string);
        if (++count === 5 || heard.length === 24) break;
      }
      broken.abort();
    }
    await voting;
    expect(heard.toSorted()).toEqual(said.toSorted());
  });

  it('who is shut out hears nothing more, and who becomes a reviewer hears more', async () => {
    const stream = annotator.events('p');
    await stream.next();
    await owner.changeRole('ada', 'reviewer');
    await say(owner);
    expect((await stream.next()).value).toMatchObject({ kind: 'judgment', person: 'olga' });
    await owner.removePerson('ada');
    expect(await stream.next()).toMatchObject({ done: true });
    await expect(annotator.events('p').next()).rejects.toMatchObject({ status: 401 });
  });

  it('listeners do not keep a server from closing', async () => {
    const listening = Array.from({ length: 3 }, () => owner.events('p'));
    for (const stream of listening) await stream.next();
    await studios[0].close();
    for (const stream of listening) {
      await stream.next().then(
        ({ done }) => expect(done).toBe(true),
        (error) => expect(String(error)).toMatch(/terminated|closed/),
      );
    }
  });
});
