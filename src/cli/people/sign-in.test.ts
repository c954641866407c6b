import { expect, it } from 'vitest';
import { rolesFrom, signInFlagsSchema, signInOptions } from './sign-in.ts';

const options = (settings: object) => signInOptions(signInFlagsSchema.parse(settings), 'secret');

it('reads roles by group, of groups with commas and equals signs too', () => {
  expect(rolesFrom('leads=reviewer,admins=owner')).toEqual({ leads: 'reviewer', admins: 'owner' });
  expect(rolesFrom('cn=admins,ou=groups=owner,staff=annotator')).toEqual({
    'cn=admins,ou=groups': 'owner',
    staff: 'annotator',
  });
  expect(() => rolesFrom('leads=reviewer,admins')).toThrow(
    '--oidc-roles: expected GROUP=ROLE,GROUP=ROLE, got "admins"',
  );
  expect(() => rolesFrom('leads=boss')).toThrow('got "leads=boss"');
});

it('needs an issuer and a client, or neither', () => {
  expect(options({}).oidc).toBeUndefined();
  expect(() => options({ oidcIssuer: 'https://id.example.org' })).toThrow('--oidc-client is missing.');
  for (const settings of [{ oidcClient: 'heed' }, { oidcRoles: 'a=owner' }, { oidcOnly: true }]) {
    expect(() => options(settings)).toThrow('--oidc-issuer is missing.');
  }
  expect(() => options({ oidcIssuer: 'i', oidcClient: 'c', oidcRequire: 'hd' })).toThrow('expected CLAIM=VALUE');
  const given = { oidcIssuer: 'https://id.example.org', oidcClient: 'heed', oidcRequire: 'hd=example.org, tid=a=b' };
  expect(options({ ...given, sessionIdleHours: 1 })).toMatchObject({
    oidc: { secret: 'secret', require: { hd: 'example.org', tid: 'a=b' }, match: 'never', only: false },
    sessions: { idleSeconds: 3600 },
  });
});
