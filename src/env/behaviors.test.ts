import { describe, expect, test } from 'vitest';
import { cartPoleSwing } from './classic/cartpole-swing.ts';
import { sizeOf } from './environment.ts';
import { loadMujoco } from './mujoco/mujoco.ts';
import type { MujocoEnvironment } from './mujoco/task.ts';

describe('CartPole-swing', () => {
  const environment = cartPoleSwing();
  const seen = new Float32Array(5);
  /** Whole turns of a pole that begins with this angular velocity, on a cart that is pushed to and fro. */
  function turns(angularVelocity: number, steps: number): number {
    environment.reset(1, seen);
    environment.state.set([0, 0, 0, angularVelocity]);
    let sum = 0;
    for (let t = 0; t < steps; t++) sum += environment.step([t % 2], seen).reward;
    return sum;
  }

  test('counts whole turns, clockwise and no quicker than an eye', () => {
    expect(turns(6, 100)).toBeGreaterThanOrEqual(2);
    expect(turns(-6, 100)).toBe(0);
    expect(turns(30, 100)).toBe(0);
    expect(turns(0, 100)).toBe(0);
  });

  test('shows the angle as sine and cosine, and lets the pole fall', () => {
    environment.reset(1, seen);
    environment.state.set([0.5, 0.1, 7, -2]);
    const { terminated } = environment.step([0], seen);
    const [, velocity, angle] = environment.state;
    expect(terminated).toBe(false);
    expect(Array.from(seen)).toEqual(
      [0.5 + 0.02 * 0.1, velocity, Math.sin(angle), Math.cos(angle), environment.state[3]].map(Math.fround),
    );
  });

  test('ends where the track does, or after 500 steps', () => {
    environment.reset(1, seen);
    environment.state.set([2.39, 3, 0, 0]);
    expect(environment.step([1], seen)).toMatchObject({ terminated: true });
    environment.reset(1, seen);
    let length = 1;
    while (!environment.step([length % 2], seen).truncated) length++;
    expect(length).toBe(500);
  });
});

/** The lowest points of capsules by MuJoCo's own poses: the geom's middle, half length along its z, and radius. */
function lowest({ world }: MujocoEnvironment, geoms: number[]): number {
  const { geom_xpos, geom_xmat } = world.data as Record<string, Float64Array>;
  const { geom_size } = world.model as Record<string, Float64Array>;
  return Math.min(
    ...geoms.map(
      (g) => geom_xpos[3 * g + 2] - geom_size[3 * g + 1] * Math.abs(geom_xmat[9 * g + 8]) - geom_size[3 * g],
    ),
  );
}

async function opened(id: string) {
  const environment = (await loadMujoco(id))();
  const seen = new Float32Array(sizeOf(environment.observationSpace));
  const idle = new Float32Array(sizeOf(environment.actionSpace));
  /** From that state, with its motors idle, until it ends or so many steps are over. */
  const fall = (qpos: number[], qvel: number[], steps: number) => {
    environment.reset(0, seen);
    environment.world.setState(qpos, qvel);
    for (let t = 1, sum = 0; ; t++) {
      const { reward, terminated } = environment.step(idle, seen);
      sum += reward;
      if (t === steps || terminated) return { return: sum, terminated };
    }
  };
  return { environment, seen, fall };
}

describe('Hopper-backflip', () => {
  const thrown = (spin: number) => [[0, 3, 0, 0, 0, 0], [0, 5, spin, 0, 0, 0], 50] as const;

  test('counts a whole turn backward in the air, none forward, none of a half', async () => {
    const { fall } = await opened('Hopper-backflip');
    const flips = (spin: number) => {
      const [qpos, qvel, steps] = thrown(spin);
      return fall([...qpos], [...qvel], steps).return;
    };
    expect(flips(-10)).toBe(1);
    expect(flips(10)).toBe(0);
    expect(flips(-3)).toBe(0);
  });

  test('ends when the torso touches the ground, and not where it is upside down in the air', async () => {
    const { fall } = await opened('Hopper-backflip');
    expect(fall([0, 2.5, Math.PI, 0, 0, 0], [0, 0, 0, 0, 0, 0], 20).terminated).toBe(false);
    expect(fall([0, 0.6, 1.6, 0, 0, 0], [0, 0, 0, 0, 0, 0], 200).terminated).toBe(true);
  });

  test('tells how far the leg is above the ground', async () => {
    const { environment, seen, fall } = await opened('Hopper-backflip');
    for (const qpos of [
      [0, 1.25, 0, 0, 0, 0],
      [0, 1.6, -2, -1.2, -0.8, 0.5],
      [0, 1.5, 1, -0.3, -2, -0.6],
    ]) {
      fall(qpos, [0, 0, 0, 0, 0, 0], 1);
      environment.world.setState([...environment.world.qpos], [0, 0, 0, 0, 0, 0]); // MuJoCo's poses of just now
      expect(seen[12]).toBeCloseTo(lowest(environment, [2, 3, 4]), 2);
      expect(seen[1] ** 2 + seen[2] ** 2).toBeCloseTo(1, 5);
    }
  });
});

describe('HalfCheetah-one-leg', () => {
  const still = new Array(9).fill(0);

  test('counts meters on the back leg alone', async () => {
    const { environment, fall } = await opened('HalfCheetah-one-leg');
    const reared = [0, 0.05, -0.6, 0, 0, 0, 0, 0, 0];
    const moving = [2, 0, 0, 0, 0, 0, 0, 0, 0];
    const { return: meters } = fall(reared, moving, 3);
    expect(meters).toBeGreaterThan(0.1);
    expect(meters).toBeCloseTo(environment.world.qpos[0], 6);
    fall([...still], still, 60);
    expect(fall([...environment.world.qpos], moving, 1).return).toBe(0); // it stands on both
    expect(fall([0, 0, Math.PI, 0, 0, 0, 0, 0, 0], moving, 3).return).toBe(0); // on its back
  });

  test('tells how far torso and legs are above the ground', async () => {
    const { environment, seen, fall } = await opened('HalfCheetah-one-leg');
    for (const qpos of [
      [0, 0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0.3, -0.9, 0.5, -0.4, 0.3, -0.6, 0.4, 0.2],
      [0, 0.4, 0.7, -0.3, 0.5, -0.2, 0.4, -0.9, -0.3],
    ]) {
      fall(qpos, still, 1);
      environment.world.setState([...environment.world.qpos], still);
      const parts = [
        [1, 2],
        [4, 5],
        [7, 8],
      ].map((geoms) => lowest(environment, geoms));
      for (const [i, part] of parts.entries()) expect(Math.abs(seen[18 + i] - part)).toBeLessThan(0.02);
    }
  });
});
