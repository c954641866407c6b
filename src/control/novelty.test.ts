import { describe, expect, it } from 'vitest';
import { random } from '../random.ts';
import { createNovelty } from './novelty.ts';

const N = 40;
const draw = random(3);
const states = Float32Array.from({ length: 2 * N }, () => draw.normal());
const variance = [4, 0.25];

/** Distances of a state to all others but `without`, each number in its deviation, the nearest first. */
const distances = (x: ArrayLike<number>, without = -1) =>
  Array.from({ length: N }, (_, i) => i)
    .filter((i) => i !== without)
    .map((i) => Math.hypot((x[0] - states[2 * i]) / 2, (x[1] - states[2 * i + 1]) / 0.5))
    .sort((a, b) => a - b);
const deviationOf = (values: readonly number[]) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
};
const kth = Array.from({ length: N }, (_, i) => distances(states.subarray(2 * i, 2 * i + 2), i)[2]);
const deviation = deviationOf(kth);

const looked = (particles = 1000) => {
  const novelty = createNovelty(2, { neighbors: 3, particles });
  const rewards = new Float32Array(N);
  novelty.look(states, variance, rewards, random(0));
  return { novelty, rewards };
};

describe('novelty', () => {
  it('is the distance to the third nearest other state, over the deviation of all those distances', () => {
    const { novelty, rewards } = looked();
    for (let i = 0; i < N; i++) expect(rewards[i]).toBeCloseTo(kth[i] / deviation, 4);
    const others = Float32Array.of(0, 0, 30, -30);
    const out = new Float32Array(2);
    novelty.reward(others, out);
    expect(out[0]).toBeCloseTo(distances([0, 0])[2] / deviation, 4);
    expect(out[1]).toBeCloseTo(distances([30, -30])[2] / deviation, 3);
    expect(out[1]).toBeGreaterThan(10 * out[0]);
  });

  it('looks among so many states, drawn from all', () => {
    const { novelty, rewards } = looked(8);
    const { state } = novelty.save();
    expect(new Set(state.rows).size).toBe(8);
    expect(Math.max(...state.rows)).toBeGreaterThan(8);
    // fewer states lie further apart
    for (const [i, reward] of rewards.entries()) expect(reward * state.deviation).toBeGreaterThanOrEqual(kth[i] - 1e-5);
  });

  it('is nothing before the first look, nor where there is no other state', () => {
    const novelty = createNovelty(2, { neighbors: 3, particles: 8 });
    const out = Float32Array.of(7);
    novelty.reward(Float32Array.of(1, 2), out);
    expect(out[0]).toBe(0);
    novelty.look(Float32Array.of(1, 2), variance, out, random(0));
    expect(out[0]).toBe(0);
  });

  it('goes on from a checkpoint, and refuses one of other states', () => {
    const { novelty } = looked(8);
    const { state, tensors } = structuredClone(novelty.save());
    const other = createNovelty(2, { neighbors: 3, particles: 8 });
    other.restore(state, tensors);
    const [one, same] = [new Float32Array(N), new Float32Array(N)];
    novelty.reward(states, one);
    other.reward(states, same);
    expect(same).toEqual(one);
    expect(() => createNovelty(3, { neighbors: 3, particles: 8 }).restore(state, tensors)).toThrow('do not fit');
  });
});
