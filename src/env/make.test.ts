import { expect, test } from 'vitest';
import { HeedError } from '../error.ts';
import { environmentIds, makeEnvironment } from './make.ts';

test('every name makes the environment of that name', () => {
  for (const id of environmentIds) expect(makeEnvironment(id).id).toBe(id);
});

test('an unknown name lists the names and offers the nearest', () => {
  for (const id of ['cartpole', 'CartPole-v0', 'Cartpol-v1']) {
    const failure = (() => {
      try {
        return makeEnvironment(id);
      } catch (error) {
        return error;
      }
    })();
    expect(failure).toBeInstanceOf(HeedError);
    expect(failure).toMatchObject({ hint: 'did you mean CartPole-v1?' });
    for (const known of environmentIds) expect((failure as HeedError).message).toContain(known);
  }
  expect(() => makeEnvironment('constructor')).toThrow(HeedError);
});
