/** Routes of the versions that were trained from feedback, and a plain page that shows them. */
import { Hono, type MiddlewareHandler } from 'hono';
import { isSame } from '../../http/hosts.ts';
import { escaped } from '../../run/report/html.ts';
import { type Env, requestOf, requires, type ServeContext } from '../context.ts';
import { ApiError } from '../errors.ts';
import { keyBySecret } from '../keys.ts';
import type { Learner } from './learner.ts';
import type { Version } from './versions.ts';

/** The routes below /v1. */
export const versionRoutes = (learner: Learner): Hono<Env> =>
  new Hono<Env>()
    .get('/versions', requires('train'), (c) =>
      c.json({ object: 'list', data: learner.versions().toReversed(), has_more: false }),
    )
    .get('/versions/:id', requires('train'), (c) => {
      const version = learner.versions().find(({ id }) => id === c.req.param('id'));
      if (version) return c.json(version);
      throw new ApiError(404, `There is no version "${c.req.param('id')}".`, { code: 'version_not_found' });
    })
    .post('/versions/:id/rollback', requires('admin'), async (c) =>
      c.json(await learner.rollBack(c.req.param('id'), 'rolled back by hand')),
    );

/** The page at /versions. It has no script, and one button for each version that somebody gets. */
export function versionPage({ database, openPaths }: ServeContext, learner: Learner): Hono<Env> {
  // a browser cannot send a key as other clients do: it asks for it as a password
  openPaths.add('/versions');
  const signedIn: MiddlewareHandler<Env> = async (c, next) => {
    const basic = /^Basic +(.+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
    const password =
      basic &&
      Buffer.from(basic, 'base64')
        .toString()
        .replace(/^[^:]*:/, '');
    const key = password ? await keyBySecret(database, password) : undefined;
    if (requestOf(c).scopes.has('admin') || key?.scopes.includes('admin')) return next();
    c.set('caller', { ...requestOf(c), name: key?.name ?? requestOf(c).name });
    throw new ApiError(401, 'A key with the scope admin is needed.', {
      headers: { 'www-authenticate': 'Basic realm="a key with the scope admin, as the password"' },
    });
  };
  return new Hono<Env>()
    .use('/versions', signedIn)
    .get('/versions', (c) =>
      c.html(pageOf(learner.versions().toReversed()), 200, {
        'content-security-policy':
          "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        'cache-control': 'no-store',
      }),
    )
    .post('/versions', async (c) => {
      // only this page may send its form: a browser says where a form comes from
      if (
        c.req.header('sec-fetch-site') !== 'same-origin' &&
        !isSame(c.req.header('origin') ?? '', c.req.header('host') ?? '')
      ) {
        throw new ApiError(403, 'A page of another origin cannot send this request.');
      }
      const { id } = await c.req.parseBody();
      await learner.rollBack(String(id), 'rolled back by hand');
      return c.redirect('/versions', 303);
    });
}

const columns = ['version', 'state', 'why', 'learned from', 'parent', 'gate', ''];

const pageOf = (versions: readonly Version[]): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Versions</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color-scheme: light dark }
table { border-collapse: collapse }
th, td { padding: .4rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid #8886 }
ul { margin: 0; padding: 0; list-style: none }
</style>
<h1>Versions</h1>
${
  versions.length === 0
    ? '<p>No version has been trained from feedback yet.</p>'
    : `<table>
<tr>${columns.map((name) => `<th scope="col">${name}</th>`).join('')}</tr>
${versions.map(rowOf).join('\n')}
</table>`
}
</html>
`;

function rowOf({ id, state, reason, data, parent, model, gate }: Version): string {
  const learned = `${data.rated} rated completions, ${data.chosen} pairs; ${data.judgments} judgments of ${data.users} users`;
  const checks = gate?.checks.map(
    ({ name, passed, text }) => `<li>${passed ? '✓' : '✗'} ${escaped(name)}: ${escaped(text)}</li>`,
  );
  const button =
    state === 'canary' || state === 'serving'
      ? `<form method="post" action="/versions"><button name="id" value="${escaped(id)}">Roll back</button></form>`
      : '';
  const cells = [
    escaped(id),
    escaped(state),
    escaped(reason),
    escaped(learned),
    escaped(parent ?? model),
    checks ? `<ul>${checks.join('')}</ul>` : '',
    button,
  ];
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}
