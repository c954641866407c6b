import { afterEach, describe, expect, test } from 'vitest';
import { type Graph, input, mean, slice, square, sub, sum, trace } from '../engine/index.ts';
import { random } from '../random.ts';
import { type MlpOptions, mlp, mlpEnsemble } from './mlp.ts';
import { type Arena, createParameters } from './parameters.ts';
import { createTrainStep } from './train-step.ts';

const made: { release(): void }[] = [];
afterEach(() => {
  for (const thing of made.splice(0).reverse()) thing.release();
});
const keep = <T extends { release(): void }>(thing: T): T => {
  made.push(thing);
  return thing;
};

const MEMBERS = 3;
const ROWS = 5;
const numbers = (count: number, purpose: string) => {
  const rng = random(4, purpose);
  return Float32Array.from({ length: count }, () => rng.normal());
};

/** The ensemble, and each member alone with the same numbers. */
function setup(options: MlpOptions) {
  const whole = mlpEnsemble('r', MEMBERS, options);
  const parameters = keep(createParameters(whole.parameters, random(1)));
  const single = mlp('r', options);
  const members = Array.from({ length: MEMBERS }, (_, k) => {
    const arena = keep(createParameters(single.parameters, random(9)));
    for (const { name } of single.parameters) arena.values[name].data.set(member(parameters, name, k));
    return arena;
  });
  return { whole, parameters, single, members };
}

const member = ({ values }: Arena, name: string, k: number) => {
  const { data } = values[name];
  return data.subarray((k * data.length) / MEMBERS, ((k + 1) * data.length) / MEMBERS);
};

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i])));

describe.each([
  { sizes: [4, 16, 8, 2], activation: 'tanh' as const },
  { sizes: [4, 16, 1], activation: 'relu' as const },
  { sizes: [4, 2] },
])('mlpEnsemble $sizes', (options) => {
  const out = options.sizes.at(-1)!;

  test.each([
    { axes: 'the same rows for all', own: false },
    { axes: 'rows of their own', own: true },
  ])('agrees with each member alone, values and gradients: $axes', ({ own }) => {
    const { whole, parameters, single, members } = setup(options);
    const x = numbers((own ? MEMBERS : 1) * ROWS * 4, 'x');
    const y = numbers(MEMBERS * ROWS * out, 'y');
    const together = keep(
      createTrainStep(
        parameters,
        (g) => {
          const z = whole.apply(input(g, 'x', own ? [MEMBERS, 'n', 4] : ['n', 4]));
          return { loss: sum(mean(square(sub(z, input(g, 'y', [MEMBERS, 'n', out]))), { axes: [1, 2] })), z };
        },
        { dims: { n: ROWS } },
      ),
    );
    together.inputs.x.data.set(x as never);
    together.inputs.y.data.set(y as never);
    const { z } = together.run();
    expect(z.shape).toEqual([MEMBERS, ROWS, out]);
    members.forEach((arena, k) => {
      const alone = keep(
        createTrainStep(
          arena,
          (g) => {
            const z = single.apply(input(g, 'x', ['n', 4]));
            return { loss: mean(square(sub(z, input(g, 'y', ['n', out])))), z };
          },
          { dims: { n: ROWS } },
        ),
      );
      alone.inputs.x.data.set((own ? x.subarray(k * ROWS * 4, (k + 1) * ROWS * 4) : x) as never);
      alone.inputs.y.data.set(y.subarray(k * ROWS * out, (k + 1) * ROWS * out) as never);
      const { z: own_ } = alone.run();
      const size = ROWS * out;
      expect(largestDifference(own_.data as Float32Array, (z.data as Float32Array).subarray(k * size))).toBeLessThan(
        1e-5,
      );
      for (const { name } of single.parameters) {
        const [a, b] = [alone.gradients.values[name].data, member(together.gradients, name, k)];
        expect(largestDifference(a, b), name).toBeLessThan(1e-5);
      }
    });
  });

  test("one member's loss has no gradient in the others", () => {
    const { whole, parameters } = setup(options);
    const step = keep(
      createTrainStep(
        parameters,
        (g: Graph) => ({ loss: sum(square(slice(whole.apply(input(g, 'x', ['n', 4])), 0, 1, 2))) }),
        {
          dims: { n: ROWS },
        },
      ),
    );
    step.inputs.x.data.set(numbers(ROWS * 4, 'x') as never);
    step.run();
    for (const { name } of whole.parameters) {
      expect(member(step.gradients, name, 0).every((g) => g === 0)).toBe(true);
      expect(member(step.gradients, name, 1).some((g) => g !== 0)).toBe(true);
      expect(member(step.gradients, name, 2).every((g) => g === 0)).toBe(true);
    }
  });

  test('members begin apart', () => {
    const { parameters } = setup(options);
    expect(member(parameters, 'r.0.weight', 0)).not.toEqual(member(parameters, 'r.0.weight', 1));
  });
});

test('an mlp maps any leading axes', () => {
  const network = mlp('p', { sizes: [3, 4, 2] });
  const parameters = keep(createParameters(network.parameters, random(0)));
  const program = keep(
    trace((g) => ({
      flat: network.apply(input(g, 'rows', ['n', 3])),
      deep: network.apply(input(g, 'pairs', ['a', 2, 3])),
    })),
  );
  const x = numbers(12, 'x');
  const weights = Object.fromEntries(Object.entries(parameters.values).map(([name, { data }]) => [name, data]));
  const { flat, deep } = program.run({ ...weights, rows: x, pairs: x });
  expect(deep).toEqual(flat);
});
