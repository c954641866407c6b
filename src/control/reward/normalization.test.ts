import { expect, it } from 'vitest';
import type { Experience } from '../segments.ts';
import { normalization } from './normalization.ts';
import { rewardSchema } from './options.ts';

/** Eight steps of two environments, the oldest in the middle of the ring; the latest two rows are steps 1 and 2. */
const [count, held, oldest] = [2, 8, 3];
const at = (t: number, e: number) => ((oldest + t) % held) * count + e;
/**
 * Steps that earn `usual` more or less and, lately, 0.3 more. `end` is what an end earns, half way; undefined: there is
 * none.
 */
function lived(end?: number, usual = 0) {
  const rewards = new Float32Array(held * count);
  const terminated = new Uint8Array(held * count);
  for (let t = 0; t < held; t++) {
    for (let e = 0; e < count; e++) rewards[at(t, e)] = usual + (t >= 6 ? 0.3 : (t + e) % 2 ? 0.2 : -0.2);
  }
  if (end !== undefined) {
    rewards[at(3, 1)] = end;
    terminated[at(3, 1)] = 1;
  }
  const experience = { count, held, oldest, terminated, truncated: new Uint8Array(held * count) } as Experience;
  return { rewards, experience };
}

function found(
  livingReward: 'keep' | 'auto' | 'remove',
  { rewards, experience }: ReturnType<typeof lived>,
  endsPaid = false,
) {
  const options = rewardSchema.parse({ livingReward });
  const { shift, endsPay } = normalization(rewards, { endsPaid }, experience, 0.9, options);
  return { shift: Number(shift.toFixed(5)), endsPay };
}

it('keeps what steps earn by lasting, or removes it as the latest steps show it', () => {
  expect(found('keep', lived(5)).shift).toBe(0);
  expect(found('remove', lived(5)).shift).toBe(0.3);
  expect(found('remove', lived()).shift).toBe(0.3);
});

it('auto: removes it where ends pay, and where they paid when there last were any', () => {
  expect(found('auto', lived(5))).toEqual({ shift: 0.3, endsPay: true });
  expect(found('auto', lived(), true)).toEqual({ shift: 0.3, endsPay: true });
  expect(found('auto', lived(-5), true)).toEqual({ shift: 0, endsPay: false });
  expect(found('auto', lived(0.2))).toEqual({ shift: 0, endsPay: false });
  expect(found('auto', lived())).toEqual({ shift: 0, endsPay: false });
});

it('auto: keeps it where lasting is the task, as steps that all earn show', () => {
  expect(found('auto', lived(5, 1))).toEqual({ shift: 0, endsPay: false });
  expect(found('remove', lived(5, 1)).shift).toBe(1.3);
});

it('lets time cost what it was learned to cost', () => {
  expect(found('remove', lived(5, -1)).shift).toBe(0);
  expect(found('auto', lived(5, -1))).toEqual({ shift: 0, endsPay: true });
});
