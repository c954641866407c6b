/** Signing in at a provider, sessions and keys, in a real browser and by the commands. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createClient } from '../src/feedback/index.ts';
import { heed, ownFolder } from './support/heed.ts';
import { CLIENT, startProvider } from './support/provider.ts';
import { barriers, ownBrowser, type StartedStudio, startStudio } from './support/studio.ts';

const folder = ownFolder();
const provider = await startProvider();
const { browser, open } = await ownBrowser();
let studio: StartedStudio;
beforeAll(async () => {
  if (!browser) return;
  const flags = ['--oidc-issuer', provider.issuer, '--oidc-client', CLIENT.client_id, '--oidc-label', 'the office'];
  studio = await startStudio(folder.path, [...flags, '--oidc-roles', 'leads=owner'], {
    HEED_OIDC_SECRET: CLIENT.client_secret,
  });
  provider.register(studio.url);
  provider.accounts.set('a-1', { preferred_username: 'ada', groups: ['leads'] });
});
afterAll(async () => {
  const ended = (await studio?.stop()) as { stderr: string } | undefined;
  expect(ended?.stderr ?? '').not.toContain(CLIENT.client_secret);
  await provider.stop();
});

it('signs in, sees sessions, makes a key, ends the other session, and signs out at the provider', async () => {
  provider.signsIn('a-1');
  const page = await open(`${studio.url}/#/account`);
  await page.getByLabel('Token').waitFor();
  expect(await barriers(page)).toEqual([]);
  await page.getByRole('button', { name: 'Sign in with the office' }).click();
  await page.getByRole('heading', { name: 'ada', exact: true }).waitFor();
  expect(page.url()).toBe(`${studio.url}/#/account`);
  await page.getByText('this one').waitFor();

  const other = await open(studio.url);
  await other.getByRole('button', { name: 'Sign in with the office' }).click();
  await other.getByRole('link', { name: 'People' }).waitFor();
  await page.reload();
  await page.getByRole('button', { name: /^End the session on Chrome on Linux/ }).click();
  await page.getByRole('button', { name: 'End all other sessions' }).waitFor({ state: 'detached' });
  await other.reload();
  await other.getByLabel('Token').waitFor();
  await other.context().close();

  await page.getByLabel('Name').fill('nightly');
  await page.getByLabel('judge: judge and decide items').check();
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  const secret = await page.getByRole('region', { name: 'New key' }).locator('code').innerText();
  await page.getByRole('row', { name: /^nightly read, judge; until/ }).waitFor();
  expect(await barriers(page)).toEqual([]);
  const client = createClient({ url: studio.url, token: secret });
  expect(await client.projects()).toEqual([]);
  await expect(client.addPerson('eve')).rejects.toThrow(
    'This requires the scope admin; the key "nightly" has read, judge.',
  );
  await expect(client.addKey({ name: 'longer' })).rejects.toThrow('An API key cannot do this.');

  const store = ['--store', 'feedback.db', '--json'];
  const run = async (...args: string[]) =>
    JSON.parse((await heed(['feedback', ...args, ...store], folder.path)).stdout);
  expect((await run('keys', 'list', 'ada')).keys).toMatchObject([{ name: 'nightly', scopes: ['read', 'judge'] }]);
  await run('keys', 'remove', 'ada', 'nightly');
  await expect(client.projects()).rejects.toMatchObject({ status: 401 });
  const added = await run('keys', 'add', 'ada', 'weekly', '--scopes', 'read,write', '--days', '7');
  expect(await createClient({ url: studio.url, token: added.secret }).session()).toMatchObject({
    person: { name: 'ada' },
  });
  expect((await run('sessions', 'list', 'ada')).sessions).toMatchObject([{ method: 'provider' }]);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(`${provider.issuer}/session/end**`);
  await page.getByRole('button', { name: /Yes/ }).click();
  await page.getByRole('button', { name: 'Sign in with the office' }).waitFor();
  expect((await run('sessions', 'list', 'ada')).sessions).toEqual([]);
  await page.context().close();
});

it('owners end the sessions of others, whose pages then ask to sign in', async () => {
  const owner = await open(studio.link);
  await owner.getByRole('link', { name: 'People' }).click();
  const theirs = await open(studio.url);
  provider.signsIn('a-1');
  await theirs.getByRole('button', { name: 'Sign in with the office' }).click();
  await theirs.getByRole('link', { name: 'People' }).waitFor();
  await owner.getByRole('link', { name: 'ada' }).click();
  await owner.getByRole('button', { name: 'End all sessions' }).click();
  await owner.getByText('Not signed in anywhere.').waitFor();
  expect(await barriers(owner)).toEqual([]);
  await theirs.reload();
  await theirs.getByLabel('Token').waitFor();
  for (const one of [owner, theirs]) await one.context().close();
});

it('runs no inline script and applies no inline style', async () => {
  const page = await (await browser!.newContext()).newPage();
  await page.goto(studio.url);
  await page.getByLabel('Token').waitFor();
  const found = await page.evaluate(`(() => {
    document.body.insertAdjacentHTML('beforeend', '<p id="styled" style="color: rgb(1, 2, 3)">styled</p>');
    const script = document.createElement('script');
    script.textContent = 'document.title = "hacked"';
    document.body.append(script);
    return [getComputedStyle(document.getElementById('styled')).color, document.title];
  })()`);
  expect(found).not.toContain('rgb(1, 2, 3)');
  expect(found).not.toContain('hacked');
  await page.context().close();
});
