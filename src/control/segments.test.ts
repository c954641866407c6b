import { describe, expect, it } from 'vitest';
import { createVectorEnvironment, type Environment, makeEnvironment, sourceOf } from '../env/index.ts';
import { HeedError } from '../error.ts';
import { random } from '../random.ts';
import type { Rollout } from '../rl/index.ts';
import { createExperience, type Experience, type Segment } from './segments.ts';

const HORIZON = 8;

/**
 * A counter: observes [seed, step], ends by itself after `ends` steps or is cut after `limit`; reward is the step.
 */
const counter =
  (ends: number, limit = 1000) =>
  (): Environment => {
    let [seed, step] = [0, 0];
    const observe = (observation: Float32Array) => observation.set([seed % 1000, step]);
    return {
      id: 'Counter',
      observationSpace: { kind: 'box', low: new Float32Array(2), high: new Float32Array(2).fill(Infinity) },
      actionSpace: { kind: 'discrete', n: 5 },
      maxEpisodeSteps: limit,
      framesPerSecond: 1,
      reset(from, observation) {
        [seed, step] = [from, 0];
        observe(observation);
      },
      step(_, observation) {
        step++;
        observe(observation);
        return { reward: step, terminated: step >= ends, truncated: step >= limit && step < ends };
      },
      frame: () => ({ width: 1, height: 1, shapes: [] }),
    };
  };

/** Experience of `steps` steps in each of `count` environments under random actions, and what it was made of. */
function live(make: () => Environment, { count = 2, memory = 64, steps = 64, seed = 0, horizon = HORIZON } = {}) {
  const environment = createVectorEnvironment(sourceOf(make).batch(count), seed);
  environment.reset();
  const experience = createExperience(environment, horizon, memory);
  const rng = random(seed, 'actions');
  const go = (more: number) => {
    for (let done = 0; done < more; done += horizon) experience.add(rollOut(environment, horizon, rng));
  };
  go(steps);
  return { environment, experience, go, rng };
}

function rollOut(
  environment: ReturnType<typeof createVectorEnvironment>,
  horizon: number,
  rng: ReturnType<typeof random>,
): Rollout {
  const { count, observationSize: o, actionSize: a, actionSpace } = environment;
  const batch = horizon * count;
  const rollout: Rollout = {
    observations: new Float32Array(batch * o),
    actions: new Float32Array(batch * a),
    rewards: new Float32Array(batch),
    terminated: new Uint8Array(batch),
    truncated: new Uint8Array(batch),
    nextObservations: new Float32Array(batch * o),
    logProbs: new Float32Array(batch),
    episodes: new Array(batch),
    episodeSteps: new Int32Array(batch),
    memory: { before: new Float32Array(0), after: new Float32Array(0) },
  };
  for (let t = 0; t < horizon; t++) {
    const start = t * count;
    const actions = Float32Array.from({ length: count * a }, () =>
      actionSpace.kind === 'discrete' ? rng.integer(actionSpace.n) : 2 * rng.uniform() - 1,
    );
    rollout.observations.set(environment.observations, start * o);
    rollout.actions.set(actions, start * a);
    environment.episodes.forEach((episode, n) => {
      rollout.episodes[start + n] = episode;
      rollout.episodeSteps[start + n] = episode.length;
    });
    environment.step(actions);
    for (const key of ['rewards', 'terminated', 'truncated'] as const) rollout[key].set(environment[key], start);
    for (let n = 0; n < count; n++) {
      const ended = environment.terminated[n] || environment.truncated[n];
      const from = ended ? environment.finalObservations : environment.observations;
      rollout.nextObservations.set(from.subarray(n * o, (n + 1) * o), (start + n) * o);
    }
  }
  return rollout;
}

const samples = (
  experience: Experience,
  window: { steps: number; anchor: boolean },
  count = 300,
  seed = 5,
): Segment[] => {
  const rng = random(seed, 'samples');
  return Array.from({ length: count }, () => experience.sample(rng, window)!).filter(Boolean);
};

/** Of a counter's segment: the step each observation stands at. */
const stepsOf = ({ observations }: Segment) => Array.from(observations).filter((_, i) => i % 2 === 1);
const seedsOf = ({ observations }: Segment) => new Set(Array.from(observations).filter((_, i) => i % 2 === 0));

describe('a window of time', () => {
  it('lies in one episode, step after step, and ends where the task does', () => {
    const { experience } = live(counter(10));
    const drawn = samples(experience, { steps: 6, anchor: false });
    expect(drawn).toHaveLength(300);
    for (const segment of drawn) {
      const steps = stepsOf(segment);
      expect(steps).toEqual(Array.from({ length: segment.length }, (_, t) => steps[0] + t));
      expect(seedsOf(segment).size).toBe(1);
      expect(segment.from).toBe(steps[0]);
      expect(segment.terminated).toBe(steps[0] + 6 >= 10);
      expect(segment.length).toBe(Math.min(6, 10 - steps[0]));
      expect(Array.from(segment.rewards)).toEqual(steps.map((s) => s + 1));
      expect(segment.nextObservations.at(-1)).toBe(steps.at(-1)! + 1);
    }
    // from every step of an episode, the last among them
    expect(new Set(drawn.map(({ from }) => from)).size).toBe(10);
  });

  it('is not one where a time limit cuts it, unless in its last step', () => {
    const { experience } = live(counter(1000, 10));
    const drawn = samples(experience, { steps: 6, anchor: false });
    expect(new Set(drawn.map(({ from }) => from))).toEqual(new Set([0, 1, 2, 3, 4]));
    expect(drawn.every(({ length, terminated }) => length === 6 && !terminated)).toBe(true);
  });

  it('is not one that has not been lived to its end', () => {
    const { experience } = live(counter(1000), { steps: HORIZON });
    expect(new Set(samples(experience, { steps: 8, anchor: false }).map(({ from }) => from))).toEqual(new Set([0]));
    expect(samples(experience, { steps: 9, anchor: false }, 1)).toEqual([]);
  });

  it('never joins the oldest steps to the newest', () => {
    const { experience, go } = live(counter(1000), { memory: 32, steps: 64 });
    expect([experience.capacity, experience.held]).toEqual([16, 16]);
    go(3 * HORIZON); // in the middle of the ring
    const drawn = samples(experience, { steps: 5, anchor: false }, 500);
    for (const segment of drawn) {
      const steps = stepsOf(segment);
      expect(steps).toEqual([0, 1, 2, 3, 4].map((t) => steps[0] + t));
    }
    const begun = new Set(drawn.map(({ from }) => from!));
    expect([Math.min(...begun), Math.max(...begun)]).toEqual([88 - 16, 88 - 5]);
  });

  it('with an anchor holds the end of the task, anywhere in it', () => {
    const { experience } = live(counter(20), { memory: 128, steps: 64 });
    const drawn = samples(experience, { steps: 6, anchor: true });
    expect(drawn).toHaveLength(300);
    expect(drawn.every(({ terminated, length }) => terminated && length <= 6)).toBe(true);
    expect(new Set(drawn.map(({ length }) => length))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
  });

  it('with an anchor starts no earlier than its episode', () => {
    const { experience } = live(counter(3));
    for (const segment of samples(experience, { steps: 8, anchor: true })) {
      expect(segment.from! + segment.length).toBe(3);
      expect(seedsOf(segment).size).toBe(1);
    }
  });

  it('with an anchor is none where no task ended', () => {
    const { experience } = live(counter(1000, 10));
    expect(experience.sample(random(0), { steps: 4, anchor: true })).toBeUndefined();
  });
});

describe.each(['CartPole-v1', 'Pendulum-v1', 'LunarLander-v3'])('%s', (id) => {
  const { experience } = live(() => makeEnvironment(id), { count: 3, memory: 600, steps: 240 });

  it('is replayed from a segment’s episode, bit for bit', () => {
    const environment = makeEnvironment(id);
    const size = environment.observationSpace.low.length;
    const width = environment.actionSpace.kind === 'discrete' ? 1 : environment.actionSpace.low.length;
    const observation = new Float32Array(size);
    for (const segment of samples(experience, { steps: 15, anchor: false }, 20)) {
      const { episode, from, length } = segment;
      const lived = { observations: [] as number[], next: [] as number[], rewards: [] as number[] };
      let terminated = false;
      environment.reset(episode!.seed, observation);
      expect(episode!.length).toBeGreaterThanOrEqual(from! + length);
      for (let t = 0; t < from! + length; t++) {
        if (t >= from!) lived.observations.push(...observation);
        const outcome = environment.step(episode!.actions.subarray(t * width, (t + 1) * width), observation);
        terminated = outcome.terminated;
        if (t >= from!) lived.next.push(...observation);
        if (t >= from!) lived.rewards.push(outcome.reward);
      }
      expect(Array.from(segment.observations)).toEqual(lived.observations);
      expect(Array.from(segment.nextObservations)).toEqual(lived.next);
      expect(segment.rewards).toEqual(Float32Array.from(lived.rewards));
      expect(segment.actions).toEqual(episode!.actions.slice(from! * width, (from! + length) * width));
      expect(segment.terminated).toBe(terminated);
    }
  });
});

describe('a checkpoint', () => {
  const make = () => makeEnvironment('CartPole-v1');

  it('gives the same segments, then and after more steps', () => {
    const { environment, experience, go, rng } = live(make, { memory: 100, steps: 120 });
    const { state, tensors } = experience.save();
    const saved = structuredClone({
      state: JSON.parse(JSON.stringify(state)),
      tensors,
      environment: environment.save(),
      rng: rng.save(),
    });
    const again = live(make, { memory: 100, steps: 0 });
    again.experience.restore(saved.state, saved.tensors);
    again.environment.restore(saved.environment);
    again.rng.restore(saved.rng);

    const plain = (segment: Segment) => ({ ...segment, episode: segment.episode!.seed });
    const both = () => {
      for (const window of [
        { steps: 12, anchor: false },
        { steps: 12, anchor: true },
      ]) {
        expect(samples(again.experience, window, 50).map(plain)).toEqual(samples(experience, window, 50).map(plain));
      }
    };
    expect(again.experience.held).toBe(experience.held);
    both();
    go(3 * HORIZON);
    again.go(3 * HORIZON);
    both();
    // a clip is whole also where its episode was under way in the checkpoint
    for (const { episode, from, length, actions } of samples(again.experience, { steps: 12, anchor: false }, 50)) {
      expect(episode!.actions.slice(from, from! + length)).toEqual(actions);
    }
  });

  it('of other settings is refused', () => {
    const { state, tensors } = live(make, { memory: 100 }).experience.save();
    expect(() => live(make, { memory: 300, steps: 0 }).experience.restore(state, tensors)).toThrow(HeedError);
  });
});
