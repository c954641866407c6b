/** Compiled forward passes of a policy, bound once to rows that are filled before each run. */
import { input, type Tensor } from '../engine/graph.ts';
import { trace } from '../engine/program.ts';
import { Value } from '../engine/value.ts';
import type { Arena } from '../nn/parameters.ts';
import type { ActingPolicy, Memory, PolicyNetwork } from './policy.ts';

/**
 * Whether one thread is best for a pass over `rows` rows. Measured on a busy machine: two threads gained at most 6 %,
 * at 256 rows of 9,000 parameters, and took up to twice as long, since the second spins for 20 ms after each run.
 */
export const isSmallPass = ({ flat }: Arena, rows: number): boolean => flat.length * rows < 2 ** 25;

/** Rows that are filled before each run. */
interface Rows extends Disposable {
  /** [rows, o]. */
  observations: Float32Array;
  /** [rows, size]: what the policy remembers before the observations; empty for a policy without memory. */
  memory: Float32Array;
  run(): void;
  /** The same, without blocking the event loop for long. */
  runFreely(): Promise<void>;
}

/** A policy's distributions. A run goes on from the memory that the last one left. */
export interface Forward extends Rows {
  /** [rows, outputSize]. */
  distribution: Float32Array;
  /** Forgets a row, or all of them: its episode begins. */
  begin(row?: number): void;
}

/** A policy's distributions for a fixed number of rows. */
export function createForward(policy: ActingPolicy, parameters: Arena, rows: number): Forward {
  const { outputSize, memory } = policy;
  const widths: Record<string, number> = { distribution: outputSize, ...(memory && { next: memory.size }) };
  const bound = bindRows(policy, parameters, rows, widths, (x, next) => ({
    distribution: policy.distribution(memory ? memory.read(x, next!) : x),
    ...(next && { next }),
  }));
  const remember = () => {
    if (memory) bound.memory.set(bound.next);
  };
  return {
    observations: bound.observations,
    memory: bound.memory,
    distribution: bound.distribution,
    run() {
      bound.run();
      remember();
    },
    async runFreely() {
      await bound.runFreely();
      remember();
    },
    begin(row) {
      if (row === undefined) bound.memory.fill(0);
      else if (memory) bound.memory.fill(0, row * memory.size, (row + 1) * memory.size);
    },
    [Symbol.dispose]: bound[Symbol.dispose],
  };
}

/** A policy's values for a fixed number of rows. */
export const createCritic = (policy: PolicyNetwork, parameters: Arena, rows: number) =>
  bindRows(policy, parameters, rows, { values: 1 }, (x, next) => ({
    values: policy.critic.apply(next ? policy.memory!.read(x, next) : x),
  }));

/** Binds a program to rows. `outputs` are its outputs' numbers in a row; `build` gets observations and new memory. */
function bindRows<Name extends string>(
  { observationSize, memory }: { observationSize: number; memory?: Memory },
  parameters: Arena,
  rows: number,
  outputs: Record<Name, number>,
  build: (observations: Tensor, next: Tensor | undefined) => Record<string, Tensor>,
) {
  const program = trace(
    (g) => {
      const x = input(g, 'observations', ['n', observationSize]);
      return build(x, memory?.step(x, input(g, 'memory', ['n', memory.size])));
    },
    { dims: { n: rows }, singleThread: isSmallPass(parameters, rows) },
  );
  const observations = new Value('float32', [rows, observationSize]);
  const state = memory && new Value('float32', [rows, memory.size]);
  const results = Object.fromEntries(
    Object.entries<number>(outputs).map(([name, width]) => [name, new Value('float32', [rows, width])]),
  );
  const binding = program.bind({ ...parameters.values, observations, ...(state && { memory: state }) }, results);
  const arrays = Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data]));
  return {
    observations: observations.data as Float32Array,
    memory: state ? (state.data as Float32Array) : new Float32Array(0),
    run: binding.run,
    runFreely: binding.runFreely,
    ...(arrays as Record<Name, Float32Array>),
    [Symbol.dispose]() {
      for (const part of [binding, program, observations, state, ...Object.values(results)]) part?.[Symbol.dispose]();
    },
  };
}
