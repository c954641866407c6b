import { expect, it } from 'vitest';
import { checkFormat } from './file-format.ts';

const check = (found: unknown) => {
  try {
    checkFormat('x/config.json', 'a run', found, 'heed run 2', 'Pass a run.');
  } catch (error) {
    return error;
  }
  return undefined;
};

it('takes its own version, and says which other file it got', () => {
  expect(check('heed run 2')).toBeUndefined();
  expect(check('heed run 10')).toMatchObject({
    message:
      '"x/config.json" is a run of a newer version of heed: expected the format "heed run 2", got "heed run 10".',
    hint: 'Update heed, or open another one.',
  });
  for (const other of ['heed run 1', 'heed policy 3', 'heed run', undefined, null, 2]) {
    expect(check(other)).toMatchObject({
      message: `"x/config.json" is not a run: expected the format "heed run 2", got "${other}".`,
      hint: 'Pass a run.',
    });
  }
});
