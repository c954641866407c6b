import { describe, expect, it } from 'vitest';
import { releasedAfterwards } from '../../../test/support/released.ts';
import { cartPole, createVectorEnvironment, type Environment, sourceOf } from '../../env/index.ts';
import { random } from '../../random.ts';
import { type Actor, createRandomPlay } from '../../rl/rollout.ts';
import { createExperience } from '../segments.ts';
import { type BranchPoint, createBranching } from './branches.ts';

const keep = releasedAfterwards();

/** Observes the sum of its actions, and ends when that reaches 20; the reward is the action. */
const adder = (startOf = (_seed: number) => 0, shape?: [number, number, number]) => {
  let sum = 0;
  return (): Environment => ({
    id: 'Adder',
    observationSpace: { kind: 'box', low: new Float32Array(1), high: new Float32Array(1).fill(255), shape },
    actionSpace: { kind: 'discrete', n: 3 },
    maxEpisodeSteps: 100,
    framesPerSecond: 1,
    reset(seed, observation) {
      sum = startOf(seed);
      observation[0] = sum;
    },
    step(actions, observation) {
      sum += actions[0];
      observation[0] = sum;
      return { reward: actions[0], terminated: sum >= 20, truncated: false };
    },
    frame: () => ({ width: 1, height: 1, shapes: [] }),
  });
};

/** Acts with this action always, in any number of environments. */
const always = (action: number, count: number): Actor => ({
  observations: new Float32Array(count),
  act: (_, actions) => actions.fill(action),
  [Symbol.dispose]() {},
});

async function pointsIn(make: () => Environment, { steps = 6, points = 40 } = {}) {
  const environment = keep(createVectorEnvironment(sourceOf(make).batch(1), 3));
  environment.reset();
  const experience = createExperience(environment, 200, 200);
  const rng = random(0, 'play');
  experience.add(await createRandomPlay(environment, { horizon: 200, random: rng })());
  return Array.from({ length: points }, (): BranchPoint => {
    return { segment: experience.sample(rng, { steps, anchor: false })!, steps };
  });
}

describe('a branch', () => {
  it('begins where its segment does, and goes on with the actor, in some after one repeated action', async () => {
    const points = await pointsIn(adder());
    const branching = keep(createBranching(sourceOf(adder()).batch(1), always(1, 1)));
    const branches = branching.branch(points, random(0, 'branches'));
    const actions = branches.map((branch, i) => {
      const { segment, steps } = points[i];
      expect(branch!.observations[0]).toBe(segment.observations[0]);
      expect([branch!.from, branch!.length <= steps]).toEqual([segment.from, true]);
      // each step follows from the one before
      const { observations, nextObservations, rewards, length } = branch!;
      for (let t = 0; t < length; t++) expect(nextObservations[t] - observations[t]).toBe(branch!.actions[t]);
      expect(nextObservations.slice(0, -1)).toEqual(observations.slice(1));
      expect(rewards).toEqual(branch!.actions);
      expect(branch!.terminated).toBe(nextObservations[length - 1] >= 20);
      if (!branch!.terminated) expect(length).toBe(steps);
      return [...branch!.actions].join('');
    });
    expect(actions).toContain('111111');
    expect(actions.some((one) => /^0+1*$/.test(one))).toBe(true);
    expect(actions.some((one) => /^2+1*$/.test(one))).toBe(true);
    expect(actions.every((one) => /^(0*|2*)1*$/.test(one))).toBe(true);
  });

  it('has an episode that can be replayed', async () => {
    const points = await pointsIn(adder());
    const branching = keep(createBranching(sourceOf(adder()).batch(1), always(2, 1)));
    const environment = adder()();
    for (const branch of branching.branch(points, random(0, 'branches'))) {
      const { episode, from, length, nextObservations } = branch!;
      expect([episode!.length, episode!.actions.length]).toEqual([from! + length, from! + length]);
      const observation = new Float32Array(1);
      environment.reset(episode!.seed, observation);
      for (const action of episode!.actions) environment.step(new Float32Array([action]), observation);
      expect(observation[0]).toBe(nextObservations[length - 1]);
    }
  });

  it('of pictures holds bytes, and no next observations', async () => {
    const pictures = adder(() => 0, [1, 1, 1]);
    const points = await pointsIn(pictures, { points: 3 });
    const branching = keep(createBranching(sourceOf(pictures).batch(2), always(1, 2)));
    for (const [i, branch] of branching.branch(points, random(0, 'branches')).entries()) {
      expect(branch!.observations).toBeInstanceOf(Uint8Array);
      expect([branch!.observations[0], branch!.nextObservations.length]).toEqual([
        points[i].segment.observations[0],
        0,
      ]);
    }
  });

  it('is missing where an environment does not come to the same state again', async () => {
    const points = await pointsIn(adder());
    const elsewhere = keep(createBranching(sourceOf(adder(() => 1)).batch(1), always(1, 1)));
    const missing = elsewhere.branch(points, random(0, 'branches')).filter((branch) => !branch);
    expect(missing.length).toBeGreaterThan(30);
    const over = keep(createBranching(sourceOf(adder(() => 19)).batch(1), always(1, 1)));
    expect(over.branch(points, random(0, 'branches')).every((branch) => !branch)).toBe(true);
  });

  it('does not depend on how many are made side by side, but for its random actions', async () => {
    const points = await pointsIn(cartPole, { points: 5 });
    const actor = (count: number) => ({ ...always(1, count), observations: new Float32Array(4 * count) });
    const [one, three] = [1, 3].map((count) =>
      keep(createBranching(sourceOf(cartPole).batch(count), actor(count))).branch(points, random(0, 'branches')),
    );
    for (const [i, { segment }] of points.entries()) {
      for (const branch of [one[i], three[i]]) {
        expect(branch!.observations.slice(0, 4)).toEqual(segment.observations.slice(0, 4));
      }
    }
  });
});
