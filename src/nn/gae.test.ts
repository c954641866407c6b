import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectClose } from '../../test/support/gradients.ts';
import { advantages } from './gae.ts';

/** Of TRL's PPO, with torch: see test/fixtures/losses/ppo.json. */
const { raw, padding_mask_p1, cases } = JSON.parse(
  readFileSync(new URL('../../test/fixtures/losses/ppo.json', import.meta.url), 'utf8'),
);
const [count, steps] = [6, 9];
/** [count, steps] → [steps, count], flat. */
const timeFirst = (rows: number[][]) => rows[0].flatMap((_, t) => rows.map((row) => row[t]));
const values: number[][] = raw.values.map((row: number[], i: number) =>
  row.map((v, t) => (padding_mask_p1[i][t] ? 0 : v)),
);

describe.each<(typeof cases)[number]>(cases)(
  '$kl_estimator, whitened rewards $whiten_rewards, γ $gamma, λ $lam',
  (c) => {
    it('gives the reference’s advantages and returns', () => {
      const advantage = new Float32Array(steps * count);
      const returns = new Float32Array(steps * count);
      const afterwards = new Array<number>(count).fill(0);
      advantages(
        {
          steps,
          count,
          rewards: timeFirst(c.rewards),
          values: [...timeFirst(values), ...afterwards],
          discount: c.gamma,
          lambda: c.lam,
        },
        advantage,
        returns,
      );
      expectClose(advantage, timeFirst(c.advantages_raw), 1e-5, 'advantages');
      expectClose(returns, timeFirst(c.returns), 1e-5, 'returns');
    });
  },
);

describe('where an episode ends', () => {
  // one environment, γ = 0.5, λ = 0.5, rewards 1, values 10, 20, 30, 40
  const input = {
    steps: 3,
    count: 1,
    rewards: [1, 1, 1],
    values: [10, 20, 30, 40],
    discount: 0.5,
    lambda: 0.5,
  };
  const run = (ends: object) => {
    const out = [new Float32Array(3), new Float32Array(3)];
    advantages({ ...input, ...ends }, out[0], out[1]);
    return Array.from(out[0]);
  };

  it('nowhere: each step looks ahead to the next', () => {
    const last = 1 + 20 - 30;
    const middle = 1 + 15 - 20 + 0.25 * last;
    expect(run({})).toEqual([1 + 10 - 10 + 0.25 * middle, middle, last]);
  });

  it('in a terminal state: nothing follows', () => {
    const middle = 1 - 20;
    expect(run({ terminated: [0, 1, 0] })).toEqual([1 + 10 - 10 + 0.25 * middle, middle, 1 + 20 - 30]);
  });

  it('at a time limit: the value of the final observation follows, and no later reward', () => {
    const middle = 1 + 0.5 * 8 - 20;
    const ends = { terminated: [0, 0, 0], truncated: [0, 1, 0], finalValues: [0, 8, 0] };
    expect(run(ends)).toEqual([1 + 10 - 10 + 0.25 * middle, middle, 1 + 20 - 30]);
  });
});
