/** Compiled forward passes of a policy, bound once to rows that are filled before each run. */
import { input } from '../engine/graph.ts';
import { type Program, trace } from '../engine/program.ts';
import { Value } from '../engine/value.ts';
import type { Arena } from '../nn/parameters.ts';
import type { ActingPolicy, PolicyNetwork } from './policy.ts';

/**
 * Whether one thread is best for a pass over `rows` rows. Measured on a busy machine: two threads gained at most 6 %,
 * at 256 rows of 9,000 parameters, and took up to twice as long, since the second spins for 20 ms after each run.
 */
export const isSmallPass = ({ flat }: Arena, rows: number): boolean => flat.length * rows < 2 ** 25;

/** A policy's distributions for a fixed number of rows. */
export function createForward(policy: ActingPolicy, parameters: Arena, rows: number) {
  const program = trace(
    (g) => {
      const x = input(g, 'observations', ['n', policy.observationSize]);
      return { distribution: policy.distribution(x) };
    },
    { dims: { n: rows }, singleThread: isSmallPass(parameters, rows) },
  );
  return bindRows(program, parameters, rows, policy.observationSize, 'distribution', policy.outputSize);
}

/** A policy's values for a fixed number of rows. */
export function createCritic(policy: PolicyNetwork, parameters: Arena, rows: number) {
  const inner = policy.observationSize;
  const program = trace((g) => ({ values: policy.critic.apply(input(g, 'observations', ['n', inner])) }), {
    dims: { n: rows },
    singleThread: isSmallPass(parameters, rows),
  });
  return bindRows(program, parameters, rows, inner, 'values', 1);
}

/** A program bound to rows that are filled before each run. */
interface Rows extends Disposable {
  observations: Float32Array;
  run(): void;
  /** The same, without blocking the event loop for long. */
  runFreely(): Promise<void>;
}

function bindRows<Name extends string>(
  program: Program,
  parameters: Arena,
  rows: number,
  inner: number,
  name: Name,
  outer: number,
) {
  const observations = new Value('float32', [rows, inner]);
  const output = new Value('float32', [rows, outer]);
  const binding = program.bind({ ...parameters.values, observations }, { [name]: output });
  return {
    observations: observations.data as Float32Array,
    [name]: output.data as Float32Array,
    run: binding.run,
    runFreely: binding.runFreely,
    [Symbol.dispose]() {
      binding[Symbol.dispose]();
      program[Symbol.dispose]();
      observations[Symbol.dispose]();
      output[Symbol.dispose]();
    },
  } as Rows & Record<Name, Float32Array>;
}
