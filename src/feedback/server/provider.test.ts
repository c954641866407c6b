/** Signing in at a real OpenID provider, which runs in this process. */
import { afterAll, afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { type Account, CLIENT, createBrowser, startProvider } from '../../../test/support/provider.ts';
import {
  addApiKey,
  addPerson,
  createClient,
  type Database,
  openDatabase,
  type RefusalEntry,
  type Studio,
  startStudio,
} from '../index.ts';
import type { ProviderOptions } from './provider.ts';

const provider = await startProvider();
afterAll(() => provider.stop());

const rules: ProviderOptions = {
  issuer: provider.issuer,
  client: CLIENT.client_id,
  secret: CLIENT.client_secret,
  label: 'the office',
  roles: { leads: 'reviewer', admins: 'owner', staff: 'annotator' },
};

let database: Database;
let studio: Studio;
const errors: string[] = [];
const refusals: RefusalEntry[] = [];

/** Opens a studio with these rules on a new store. */
async function open(options: Partial<ProviderOptions> = {}, trustProxy = false): Promise<void> {
  await close();
  database = await openDatabase(':memory:');
  studio = await startStudio({
    database,
    trustProxy,
    oidc: { ...rules, ...options },
    onError: (text) => errors.push(text),
    onRefusal: (entry) => refusals.push(entry),
  });
  provider.register(studio.url);
}
const close = async () => {
  await studio?.close();
  await database?.close();
};
beforeEach(async () => {
  refusals.length = 0;
  await open();
});
afterEach(async () => {
  await close();
  expect(errors.splice(0)).toEqual([]);
});

type Browser = ReturnType<typeof createBrowser>;

/** Begins a sign-in and comes back from the provider, up to the address at the studio. */
async function comeBack(browser: Browser, account: string, claims: Account, body: object = {}, headers = {}) {
  provider.accounts.set(account, claims);
  provider.signsIn(account);
  const begun = await browser.request(`${studio.url}/api/session/oidc`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers,
  });
  const { url } = (await begun.json()) as { url: string };
  // whoever was signed in at the provider is not any more
  for (const name of [...browser.cookies.keys()]) if (!name.startsWith('heed')) browser.cookies.delete(name);
  const back = await browser.open(url, (at) => at.startsWith(studio.url));
  return { begun, url: new URL(url), back: back.url };
}

async function signIn(account: string, claims: Account, body?: object) {
  const browser = createBrowser();
  const { back } = await comeBack(browser, account, claims, body);
  const response = await browser.request(back);
  return {
    browser,
    back,
    status: response.status,
    location: response.headers.get('location'),
    text: await response.text(),
    response,
  };
}

async function session(browser: Browser) {
  const response = await browser.request(`${studio.url}/api/session`);
  const said = (await response.json()) as { person?: { id: string; name: string; role: string }; csrf: string };
  return { status: response.status, ...said };
}

const ada: Account = { preferred_username: 'ada', groups: ['staff', 'leads'] };

it('signs in with PKCE, state and nonce, and with the role of the group that may do most', async () => {
  const browser = createBrowser();
  const { begun, url, back } = await comeBack(browser, 'ada', ada, { page: '/label/haiku' });
  expect(begun.headers.get('set-cookie')).toMatch(
    /^heed_sign_in=[^;]+; Max-Age=600; Path=\/api\/session\/oidc; HttpOnly; SameSite=Lax$/,
  );
  const sent = Object.fromEntries(url.searchParams);
  expect(sent).toMatchObject({ response_type: 'code', code_challenge_method: 'S256', client_id: 'heed' });
  for (const name of ['state', 'nonce', 'code_challenge']) expect(sent[name].length).toBeGreaterThan(40);
  const entered = await browser.request(back);
  expect([entered.status, entered.headers.get('location')]).toEqual([303, '/#/label/haiku']);
  expect(entered.headers.getSetCookie().find((line) => line.startsWith('heed_session'))).toMatch(
    /Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  expect(await session(browser)).toMatchObject({ status: 200, person: { name: 'ada', role: 'reviewer' } });
  const { sessions } = (await (await browser.request(`${studio.url}/api/sessions`)).json()) as { sessions: object[] };
  expect(sessions).toMatchObject([{ method: 'provider', device: 'Firefox on Linux' }]);
  // again: nobody else comes of it
  const again = await signIn('ada', { ...ada, preferred_username: 'ada the second' });
  expect((await session(again.browser)).person?.name).toBe('ada');
  const ways = await (await fetch(`${studio.url}/api/session/ways`)).json();
  expect(ways).toEqual({ token: true, provider: 'the office' });
});

it('follows the groups: a role changes in open sessions too, and who is in no group is shut out', async () => {
  const { browser } = await signIn('ben', { preferred_username: 'ben', groups: ['admins'] });
  const { person } = await session(browser);
  expect(person?.role).toBe('owner');
  const { secret } = await addApiKey(database, { ...person!, role: 'owner' }, { name: 'k', scopes: ['read'] });
  await signIn('ben', { preferred_username: 'ben', groups: ['staff', 'constructor'] });
  expect((await session(browser)).person?.role).toBe('annotator');
  const refused = await signIn('ben', { preferred_username: 'ben', groups: ['toString'] });
  expect(refused.status).toBe(403);
  expect(refused.text).toContain('ben is in no group that may use this studio.');
  expect((await session(browser)).status).toBe(401);
  await expect(createClient({ url: studio.url, token: secret }).session()).rejects.toMatchObject({ status: 401 });
  const back = await signIn('ben', { preferred_username: 'ben', groups: ['leads'] });
  expect((await session(back.browser)).person).toMatchObject({ id: person!.id, role: 'reviewer' });
  // whom an owner shut out stays out, whatever the groups
  await createClient({ url: studio.url, token: (await addPerson(database, 'boss', 'owner')).token }).removePerson(
    'ben',
  );
  expect((await signIn('ben', { preferred_username: 'ben', groups: ['leads'] })).text).toContain(
    'access of ben was revoked',
  );
});

it('refuses answers that do not fit the sign-in that began', async () => {
  const { query } = database;
  const browser = createBrowser();
  const get = async (url: string, by = browser) => {
    const response = await by.request(url);
    return `${response.status} ${await response.text()}`;
  };
  // another browser, which has begun nothing
  const { back } = await comeBack(browser, 'ada', ada);
  expect(await get(back, createBrowser())).toMatch(/^400.*begun in another browser/s);
  // another state; the sign-in is over then
  const forged = new URL(back);
  forged.searchParams.set('state', 'forged');
  expect(await get(forged.href)).toMatch(/^400.*belongs to another sign-in/s);
  expect(await get(back)).toMatch(/^400.*is over/s);
  // another nonce, another verifier, another issuer
  const nonce = await comeBack(browser, 'ada', ada);
  await query.updateTable('signins').set({ nonce: 'forged' }).execute();
  expect(await get(nonce.back)).toMatch(/^400.*answer is not valid: .*nonce/s);
  const verifier = await comeBack(browser, 'ada', ada);
  await query
    .updateTable('signins')
    .set({ verifier: 'v'.repeat(43) })
    .execute();
  expect(await get(verifier.back)).toMatch(/^400.*code has expired or was used before/s);
  const issuer = new URL((await comeBack(browser, 'ada', ada)).back);
  issuer.searchParams.set('iss', 'https://elsewhere.example.org');
  expect(await get(issuer.href)).toMatch(/^400.*answer is not valid/s);
  // what the provider refuses, and text that is no code of an error
  const { url } = await comeBack(browser, 'ada', ada);
  const denied = `${studio.url}/api/session/oidc/callback?state=${url.searchParams.get('state')}&iss=${encodeURIComponent(provider.issuer)}`;
  expect(await get(`${denied}&error=access_denied&error_description=<b>`)).toMatch(/^403.*refused: access_denied/s);
  const { url: second } = await comeBack(browser, 'ada', ada);
  const text = `${studio.url}/api/session/oidc/callback?state=${second.searchParams.get('state')}&iss=${encodeURIComponent(provider.issuer)}&error=<script>`;
  expect(await get(text)).not.toContain('<script>');
  expect(browser.cookies.has('heed_session')).toBe(false);
  // each is in the log
  const path = '/api/session/oidc/callback';
  expect(refusals.filter((entry) => entry.path === path).map(({ status }) => status)).toEqual([
    ...[400, 400, 400, 400, 400, 400, 403, 403],
  ]);
  expect(refusals[0].reason).toContain('begun in another browser');
});

it('refuses a code that has expired, and a sign-in that took too long', async () => {
  provider.codesLast(20);
  const late = createBrowser();
  const { back } = await comeBack(late, 'ada', ada);
  const slow = createBrowser();
  provider.codesLast(600);
  const { back: slowly } = await comeBack(slow, 'ada', ada);
  const cookie = slow.cookies.get('heed_sign_in');
  expect(cookie).toBeDefined();
  // the provider and the studio are in this process: its clock is theirs
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 30_000 });
  onTestFinished(() => void vi.useRealTimers());
  expect(await (await late.request(back)).text()).toContain('The provider’s code has expired or was used before.');
  vi.setSystemTime(Date.now() + 600_000);
  expect(await (await slow.request(slowly)).text()).toContain('This sign-in has expired');
});

it('says when the provider cannot be reached; tokens go on', async () => {
  const { token } = await addPerson(database, 'boss', 'owner');
  const browser = createBrowser();
  const begin = async () => {
    const response = await browser.request(`${studio.url}/api/session/oidc`, { method: 'POST', body: '{}' });
    return { status: response.status, ...((await response.json()) as { error?: { message: string; hint: string } }) };
  };
  await provider.stop();
  const { status, error } = await begin();
  expect(status).toBe(503);
  expect(error?.message).toMatch(/^The sign-in provider http:\S+ cannot be used now: .*ECONNREFUSED/);
  expect(error?.hint).toBe('Try again in a moment, or sign in with a token.');
  const signed = await fetch(`${studio.url}/api/session`, {
    method: 'POST',
    body: JSON.stringify({ token }),
  });
  expect(signed.status).toBe(200);
  await provider.again();
  expect((await begin()).status).toBe(200);
  // between leaving and coming back
  const { back } = await comeBack(browser, 'ada', ada);
  await provider.stop();
  const late = await browser.request(back);
  expect([late.status, await late.text()]).toEqual([503, expect.stringContaining('cannot be used now')]);
  await provider.again();
  expect((await signIn('ada', ada)).status).toBe(303);
});

it('signs out at the provider too', async () => {
  const { browser } = await signIn('ada', ada);
  const [{ sealed }] = await database.query
    .selectFrom('sessions')
    .select('sealed')
    .where('sealed', 'is not', null)
    .execute();
  const { csrf } = await session(browser);
  const out = await browser.request(`${studio.url}/api/session`, {
    method: 'DELETE',
    headers: { 'x-heed-csrf': csrf },
  });
  const { url } = (await out.json()) as { url: string };
  const { searchParams, origin } = new URL(url);
  expect(origin).toBe(provider.issuer);
  expect(searchParams.get('post_logout_redirect_uri')).toBe(`${studio.url}/`);
  expect(searchParams.get('id_token_hint')).toMatch(/^\S+\.\S+\.\S+$/);
  expect(sealed).not.toContain(searchParams.get('id_token_hint')); // no ID token lies open in the store
  expect((await session(browser)).status).toBe(401);
  // the provider asks, and leads back
  const form = await (await browser.request(url)).text();
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(form)![1];
  const confirmed = await browser.request(`${provider.issuer}/session/end/confirm`, {
    method: 'POST',
    body: new URLSearchParams({ xsrf, logout: 'yes' }),
  });
  expect(confirmed.headers.get('location')).toBe(`${studio.url}/`);
});

it('finds people of the store by verified addresses alone, and only if told to', async () => {
  const names = async () =>
    (await database.query.selectFrom('people').select('name').orderBy('created').execute()).map(({ name }) => name);
  const mail = { email: 'eve@example.org', email_verified: true, groups: ['staff'] };
  await addPerson(database, 'eve@example.org', 'owner');
  const { browser } = await signIn('eve', mail);
  expect((await session(browser)).person).toMatchObject({ name: 'eve@example.org 2', role: 'annotator' });

  await open({ match: 'email' });
  const { person } = await addPerson(database, 'eve@example.org', 'owner');
  const stranger = await signIn('mallory', { ...mail, email_verified: false });
  expect((await session(stranger.browser)).person).toMatchObject({ name: 'mallory', role: 'annotator' });
  const found = await signIn('eve', mail);
  expect((await session(found.browser)).person).toEqual({ ...person, role: 'annotator' });
  // who has an account there is not found by another one
  const other = await signIn('eve of elsewhere', mail);
  expect((await session(other.browser)).person?.name).toBe('eve@example.org 2');
  expect(await names()).toEqual(expect.arrayContaining(['mallory', 'eve@example.org', 'eve@example.org 2']));
});

it('links an account to who is signed in, and not to anybody else', async () => {
  await open({ defaultRole: 'annotator' });
  const { person, token } = await addPerson(database, 'boss', 'owner');
  const browser = createBrowser();
  await browser.request(`${studio.url}/api/session`, { method: 'POST', body: JSON.stringify({ token }) });
  const { csrf } = await session(browser);
  const { back } = await comeBack(
    browser,
    'b-17',
    { preferred_username: 'b' },
    { link: true },
    { 'x-heed-csrf': csrf },
  );
  expect((await browser.request(back)).status).toBe(303);
  const { browser: later } = await signIn('b-17', { preferred_username: 'b' });
  expect((await session(later)).person).toEqual(person);
  // the role that the studio gave stays while no group ever gave one
  await signIn('ada', { preferred_username: 'ada' });
  const taken = await comeBack(browser, 'ada', { preferred_username: 'ada' }, { link: true }, { 'x-heed-csrf': csrf });
  const refused = await browser.request(taken.back);
  expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('signs in ada, not boss')]);
  const stranger = await fetch(`${studio.url}/api/session/oidc`, { method: 'POST', body: '{"link": true}' });
  expect(stranger.status).toBe(401);
  expect(
    (await fetch(`${studio.url}/api/session/oidc`, { method: 'POST', body: '{"page": "//elsewhere.org"}' })).status,
  ).toBe(400);
});

it('alone: tokens, links and their sessions sign nobody in; API keys work', async () => {
  const { token, person } = await addPerson(database, 'boss', 'owner');
  const { secret } = await addApiKey(database, person, { name: 'script', scopes: ['read'] });
  const before = createBrowser();
  await before.request(`${studio.url}/api/session`, { method: 'POST', body: JSON.stringify({ token }) });
  await studio.close();
  studio = await startStudio({ database, oidc: { ...rules, only: true } });
  provider.register(studio.url);
  expect(studio.link).toBe(studio.url);
  expect((await session(before)).status).toBe(401);
  const refused = await fetch(`${studio.url}/api/session`, { method: 'POST', body: JSON.stringify({ token }) });
  expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('Sign in with the office.')]);
  await expect(createClient({ url: studio.url, token }).projects()).rejects.toMatchObject({ status: 401 });
  expect(await createClient({ url: studio.url, token: secret }).projects()).toEqual([]);
  expect((await signIn('ada', ada)).status).toBe(303);
});

it('asks for claims, behind https for secure cookies, and never says the secret', async () => {
  await open({ require: { email: 'ada@example.org' } }, true);
  const refused = await signIn('ada', ada);
  expect([refused.status, refused.text]).toEqual([
    403,
    expect.stringContaining('accounts with email “ada@example.org”'),
  ]);
  const response = await fetch(`${studio.url}/api/session/oidc`, {
    method: 'POST',
    body: '{}',
    headers: { 'x-forwarded-proto': 'https' },
  });
  expect(response.headers.get('set-cookie')).toMatch(
    /^__Host-heed_sign_in=[^;]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
  );
  const { url } = (await response.json()) as { url: string };
  expect(new URL(url).searchParams.get('redirect_uri')).toMatch(
    /^https:\/\/127\.0\.0\.1:\d+\/api\/session\/oidc\/callback$/,
  );

  const secret = `${CLIENT.client_secret}, and wrong`;
  await open({ secret });
  const wrong = await signIn('ada', ada);
  expect([wrong.status, wrong.text]).toEqual([403, expect.stringContaining('refused the studio: invalid_client')]);
  const entries = JSON.stringify(await database.query.selectFrom('events').selectAll().execute());
  for (const text of [wrong.text, refused.text, url, entries, ...errors])
    expect(text).not.toContain(CLIENT.client_secret);
  for (const issuer of ['http://id.example.org', 'id.example.org']) {
    await expect(startStudio({ database, oidc: { ...rules, issuer } })).rejects.toThrow(
      '--oidc-issuer: expected an https address',
    );
  }
});
