import { describe, expect, it } from 'vitest';
import { CallError, HeedError } from './error.ts';
import { errorForPrograms, textsForPrograms, withOptionNames } from './library-words.ts';

describe('texts for a program', () => {
  it.each([
    ['Give --reward, or --judge.', 'Give "reward", or "judge".'],
    ['Raise --ppo.entropyCoefficient 0.01, or train longer.', 'Raise ppo.entropyCoefficient: 0.01, or train longer.'],
    ['or a loss without a KL (--loss apo_zero_unpaired).', 'or a loss without a KL (loss: apo_zero_unpaired).'],
    ['longer than 8 tokens (--length, --truncate)', 'longer than 8 tokens ("length", "truncate")'],
    ['set --random-steps', 'set "randomSteps"'],
    ['Use --packing false. Then go on.', 'Use packing: false. Then go on.'],
    [
      'Train one with: heed reward --model MODEL --data x.jsonl',
      'Train one with: heed reward --model MODEL --data x.jsonl',
    ],
    ['Lower --beta. heed sft --beta 2 does it.', 'Lower "beta". heed sft --beta 2 does it.'],
    ['nothing -- at all - here', 'nothing -- at all - here'],
  ])('%j is %j', (text, expected) => {
    expect(withOptionNames(text)).toBe(expected);
  });

  it('are those of errors, and of plain data', () => {
    const cause = new Error('first');
    const named = errorForPrograms(new HeedError('no --data', { hint: 'give --data', cause })) as HeedError;
    expect(named).toMatchObject({ message: 'no "data"', hint: 'give "data"', cause });
    const failed = errorForPrograms(Object.assign(new CallError('no --data'), { partial: { steps: 3 } }));
    expect(failed).toBeInstanceOf(CallError);
    expect(failed).toMatchObject({ message: 'no "data"', partial: { steps: 3 } });
    const same = new HeedError('fine');
    expect(errorForPrograms(same)).toBe(same);
    const other = new TypeError('--x');
    expect(errorForPrograms(other)).toBe(other);
    expect(textsForPrograms({ findings: [{ advice: '--beta' }], value: 3, none: null })).toEqual({
      findings: [{ advice: '"beta"' }],
      value: 3,
      none: null,
    });
  });
});
