import { expect, it } from 'vitest';
import { HeedError } from './error.ts';
import { optionalPackage } from './optional-package.ts';

it('a package that is not installed is named, with the command that installs it', async () => {
  const name = 'heed-has-no-such-package';
  const error = await optionalPackage(name, 'A task of MuJoCo').catch((error: unknown) => error);
  expect(error).toBeInstanceOf(HeedError);
  expect((error as HeedError).message).toMatch(/^A task of MuJoCo needs the package heed-has-no-such-package, which/);
  expect((error as HeedError).hint).toContain(`npm install ${name}`);
  expect(await optionalPackage('pg', 'PostgreSQL')).toHaveProperty('default');
});
