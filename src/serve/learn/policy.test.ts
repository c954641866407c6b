import { expect, it } from 'vitest';
import { heedError } from '../../../test/support/gradients.ts';
import { readLearnPolicy } from './policy.ts';

it('refuses a policy by which no version could ever be served', () => {
  expect(readLearnPolicy({}).gate).toMatchObject({ heldOut: 40, maxTokens: 128 });
  expect(() => readLearnPolicy({ heldOut: 0 })).toThrow(heedError(/no version could be measured/, /heldOut above 0/));
  const evaluation = { evaluation: 'prompts.jsonl', judge: 'http://127.0.0.1:1/v1' };
  expect(readLearnPolicy({ heldOut: 0, gate: evaluation }).heldOut).toBe(0);
  expect(() => readLearnPolicy({ canary: { least: 50, most: 20 } })).toThrow(
    heedError(/before it could be promoted/, /most/),
  );
  expect(() => readLearnPolicy({ canary: { share: 0 } })).toThrow(/canary.share/);
  expect(() => readLearnPolicy({ gate: { winRate: 1 } })).toThrow(/gate.winRate/);
  expect(() => readLearnPolicy({ gate: { heldOut: 2001 } })).toThrow(/gate.heldOut/);
});
