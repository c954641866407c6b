/**
 * What the checks of a lesson are written with: `heed/course` for them. A check says what is wrong in one sentence and
 * does not give the answer away.
 */
import { HeedError } from '../error.ts';

/** A check by its name. It throws what is wrong with the exercise. */
export interface Check<Exercise> {
  /** What holds when the check passes, such as "equal rewards give ½". */
  name: string;
  /** Looks at the exports of the exercise. */
  run(exercise: Exercise): void | Promise<void>;
}

/** What a check found to be wrong. */
export class CheckFailure extends HeedError {
  /** The function of the exercise that it is about, if it is known. */
  readonly about: string | undefined;

  constructor(message: string, about?: string) {
    super(message);
    this.about = about;
  }
}

/** The checks of a lesson, in the order in which they run. */
export function checks<Exercise>(byName: Record<string, (exercise: Exercise) => void | Promise<void>>) {
  return Object.entries(byName).map(([name, run]): Check<Exercise> => ({ name, run }));
}

/** Says what is wrong. */
export function fail(message: string): never {
  throw new CheckFailure(message, lastCall?.name);
}

/** Passes if the condition holds; else says what is wrong. */
export function ok(condition: boolean, message: string): void {
  if (!condition) fail(message);
}

/** Passes a finite number on; else says which call gave what. */
export function number(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    fail(`${describeCall()} gives ${show(value)}: a finite number is expected.`);
  }
  return value;
}

/** Passes finite numbers on, as many as expected; else says which call gave what. */
export function numbers(value: unknown, length: number): number[] {
  const list = Array.isArray(value) || ArrayBuffer.isView(value) ? Array.from(value as ArrayLike<unknown>) : undefined;
  if (!list) fail(`${describeCall()} gives ${show(value)}: a list of numbers is expected.`);
  if (list.length !== length) {
    fail(`${describeCall()} gives a list of ${list.length}: ${length} ${length === 1 ? 'is' : 'are'} expected.`);
  }
  const wrong = list.findIndex((one) => typeof one !== 'number' || !Number.isFinite(one));
  if (wrong >= 0) fail(`${describeCall()} gives ${show(list[wrong])} at index ${wrong}: a finite number is expected.`);
  return list as number[];
}

/** Passes a record on that has these fields; else says which call lacks which. */
export function fields<T>(value: T, ...names: (keyof T & string)[]): T {
  if (typeof value !== 'object' || value === null) {
    fail(`${describeCall()} gives ${show(value)}: an object with ${names.join(' and ')} is expected.`);
  }
  const missing = names.find((name) => value[name] === undefined);
  if (missing !== undefined) fail(`${describeCall()} gives an object without a "${missing}".`);
  return value;
}

/** Passes if a number is as expected; else gives the message, which has no full stop, and the number. */
export function near(value: unknown, expected: number, message: string, tolerance = 1e-6): void {
  if (Math.abs(number(value) - expected) > tolerance * Math.max(1, Math.abs(expected))) {
    fail(`${message}: yours is ${show(value)}.`);
  }
}

/** Passes if numbers are as expected; else gives the message, which has no full stop, and the first that is not. */
export function allNear(value: unknown, expected: readonly number[], message: string, tolerance = 1e-6): void {
  const wrong = numbers(value, expected.length).findIndex(
    (one, i) => Math.abs(one - expected[i]) > tolerance * Math.max(1, Math.abs(expected[i])),
  );
  if (wrong >= 0) fail(`${message}: yours is ${show((value as ArrayLike<number>)[wrong])} at index ${wrong}.`);
}

/** A stream of uniform numbers in [0, 1), the same for the same seed (mulberry32). */
export function draws(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

let lastCall: { name: string; args: readonly unknown[] } | undefined;

/** The exports of an exercise, watched: a failure can say which call it is about. For run-checks.ts. */
export function watched(exports: Record<string, unknown>): Record<string, unknown> {
  lastCall = undefined;
  return new Proxy(exports, {
    get(target, name) {
      const value = target[String(name)];
      if (value === undefined) throw new CheckFailure(`The exercise does not export "${String(name)}".`, String(name));
      if (typeof value !== 'function') {
        throw new CheckFailure(`"${String(name)}" is ${show(value)}: a function is expected.`, String(name));
      }
      return (...args: unknown[]) => {
        lastCall = { name: String(name), args };
        return value(...args);
      };
    },
  });
}

/** The last call of a function of the exercise, such as "probability(1, 0)". */
export function describeCall(): string {
  if (!lastCall) return 'The exercise';
  const args = lastCall.args.map((arg) => show(arg)).join(', ');
  return `${lastCall.name}(${args.length <= LONGEST ? args : '…'})`;
}

/** The longest value that a sentence shows. */
const LONGEST = 60;

/** A value as a sentence shows it. */
function show(value: unknown): string {
  if (typeof value === 'number') return String(Number.isInteger(value) ? value : Number(value.toPrecision(4)));
  if (typeof value === 'function') return 'a function';
  if (value === undefined || value === null || typeof value === 'boolean') return String(value);
  const text = JSON.stringify(value, (_, one) => (typeof one === 'number' ? Number(one.toPrecision(4)) : one)) ?? '?';
  const spaced = text.replaceAll(',', ', ').replaceAll(':', ': ');
  if (spaced.length <= LONGEST) return spaced;
  if (typeof value === 'string') return 'a text';
  return Array.isArray(value) || ArrayBuffer.isView(value) ? 'a list' : '{…}';
}
