/** An environment in a user's file. It is checked when loaded, so that errors show before training. */

import { HeedError, messageOf } from '../../error.ts';
import { importFile } from '../../files.ts';
import { existsSync, runInNewContext } from '../../node.ts';
import { random } from '../../random.ts';
import { guardedEnvironment } from '../batch/fault.ts';
import { faultOf, kindOf } from '../description.ts';
import { noPromises } from '../dynamics.ts';
import { type Environment, type Space, type StepResult, sizeOf } from '../environment.ts';
import { loadMujoco } from '../mujoco/mujoco.ts';
import { readMujocoTask } from '../mujoco/read-task.ts';

/** Whether a name is a file's and not a known environment's. */
export const isFile = (name: string): boolean => /^(\.{0,2}|[a-z]:)[/\\]/i.test(name) || /\.[cm]?[jt]s$/.test(name);

/**
 * Loads a file. Its default export is a function that makes an environment, or a MuJoCo task. @throws HeedError if the
 * file cannot be loaded or makes no environment.
 */
export async function loadFile(path: string, trialSeconds = TRIAL_SECONDS): Promise<() => Environment> {
  checkThere(path);
  const { default: exported } = await importFile(path, 'The environment');
  const make = typeof exported === 'function' ? (exported as () => Environment) : await loadTask(path, exported);
  return checkedFactory(path, make, trialSeconds);
}

/** A factory that has been tried with an episode; the faults of its environments name it. @throws HeedError if it fails. */
export function checkedFactory(name: string, make: () => Environment, trialSeconds = TRIAL_SECONDS): () => Environment {
  within(name, trialSeconds, () => checkWorks(name, make, { drawn: true }));
  return () => guardedEnvironment(make(), name);
}

/** Checks that a file exists. @throws HeedError if it does not. */
export function checkThere(path: string): void {
  if (existsSync(path)) return;
  throw new HeedError(`there is no file "${path}" with an environment`, {
    hint: 'paths are taken from the folder you are in',
  });
}

function loadTask(path: string, exported: unknown): Promise<() => Environment> {
  if (typeof exported === 'object' && exported !== null) return loadMujoco(readMujocoTask(exported, path));
  throw new HeedError(`"${path}": expected a function as default export, got ${kindOf(exported)}`, {
    hint: 'write: export default () => withTimeLimit({ … }); docs/reference/environments.md has an example',
  });
}

const LONGEST_TRIAL = 300; // steps
const ENOUGH = 5; // seconds: slow environments are tried with fewer steps
/** Seconds after which a call is taken for one that never returns. */
const TRIAL_SECONDS = 60;

/** Runs synchronous code that may never return. */
function within(path: string, seconds: number, trial: () => void): void {
  try {
    runInNewContext('trial()', { trial }, { timeout: 1000 * seconds });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new HeedError(`"${path}": a reset or a step was not over after ${seconds} s`, {
      hint: 'does it wait for something, or loop forever? Try it alone, in Node',
    });
  }
}

/**
 * Plays an episode in two copies at once, with the same actions. @throws HeedError for anything that would fail in
 * training; for a picture that cannot be shown only if it has to be `drawn`.
 */
export function checkWorks(name: string, make: () => Environment, { drawn }: { drawn: boolean }): void {
  const wrong = (message: string, hint: string, cause?: unknown) =>
    new HeedError(`"${name}": ${message}`, { hint, cause });
  const calling = <T>(what: string, call: () => T): T => {
    try {
      return call();
    } catch (cause) {
      const hint = (cause as HeedError).hint ?? 'the error is in the environment; --verbose shows where';
      throw wrong(`${what} failed: ${messageOf(cause)}`, hint, cause);
    }
  };
  if (isClass(make)) {
    throw wrong(
      'expected a function that makes an environment, got a class',
      `write () => new ${make.name || 'World'}()`,
    );
  }
  const [one, other] = [1, 2].map(() => calling('making an environment', make));
  const fault = faultOfMade(one, drawn);
  if (fault)
    throw wrong(`expected ${fault[0]}, got ${fault[1]}`, 'docs/reference/environments.md describes environments');

  const size = sizeOf(one.observationSpace);
  const [seen, seenByOther] = [1, 2].map(() => new Float32Array(size).fill(Number.NaN));
  const checkSeen = (when: string) => {
    const at = seen.findIndex((x) => !Number.isFinite(x));
    if (at < 0) return;
    throw wrong(
      `expected ${size} finite numbers as observation ${when}, got ${seen[at]} as number ${at}`,
      'write every element of observationSpace into the array that is passed',
    );
  };
  const differs = (what: string) =>
    wrong(
      `expected the same ${what} from the same seed and actions, got different ones from two copies`,
      'draw from random(seed) of heed/env and not from Math.random, and keep no state outside of the function that makes a copy',
    );

  const seed = 20_260_101;
  calling('reset', () => one.reset(seed, seen));
  calling('reset', () => other.reset(seed, seenByOther));
  checkSeen('after reset');
  if (!same(seen, seenByOther)) throw differs('first observation');
  if (drawn) checkFrame(calling('frame', one.frame.bind(one)), wrong);
  const draw = random(seed, 'trial');
  const began = performance.now();
  for (let t = 1; t <= Math.min(one.maxEpisodeSteps, LONGEST_TRIAL); t++) {
    const action = someAction(one.actionSpace, draw);
    const returned: StepResult | Promise<unknown> = calling('step', () => one.step(action, seen));
    if (returned instanceof Promise) throw wrong('expected step to return its result, got a promise', noPromises);
    const outcome = { ...returned };
    const otherOutcome = calling('step', () => other.step(action, seenByOther));
    const bad = badOutcome(outcome);
    if (bad) throw wrong(`expected ${bad[0]} from step, got ${bad[1]}`, 'return { reward, terminated, truncated }');
    checkSeen(`after step ${t}`);
    if (!same(seen, seenByOther)) throw differs(`observation after step ${t}`);
    if (outcome.reward !== otherOutcome.reward) throw differs(`reward of step ${t}`);
    if (outcome.terminated || outcome.truncated || performance.now() - began > 1000 * ENOUGH) break;
    if (t === one.maxEpisodeSteps) {
      throw wrong(
        `expected an episode to be truncated after its maxEpisodeSteps, ${t}, got one that goes on`,
        'withTimeLimit of heed/env does that',
      );
    }
  }
  for (const environment of [one, other]) environment[Symbol.dispose]?.();
}

/** What is wrong with what a function made, as [expected, got]. */
function faultOfMade(environment: Environment, drawn: boolean): [string, string] | undefined {
  if (typeof environment !== 'object' || environment === null) {
    return ['the function to return an environment', kindOf(environment)];
  }
  const needed = ['reset', 'step', ...(drawn ? (['frame'] as const) : [])] as const;
  const missing = needed.find((name) => typeof environment[name] !== 'function');
  if (missing) return [`a function ${missing}`, kindOf(environment[missing])];
  const fault = faultOf(environment);
  if (fault) return fault;
  const { observationSpace, actionSpace } = environment;
  return [observationSpace, actionSpace].some((space) => sizeOf(space) === 0)
    ? ['boxes of one number or more', 'an empty one']
    : undefined;
}

function badOutcome({ reward, terminated, truncated }: StepResult): [string, string] | undefined {
  if (!Number.isFinite(reward)) return ['a finite number as reward', String(reward)];
  if (typeof terminated !== 'boolean') return ['true or false as terminated', kindOf(terminated)];
  if (typeof truncated !== 'boolean') return ['true or false as truncated', kindOf(truncated)];
  return undefined;
}

function checkFrame(frame: unknown, wrong: (message: string, hint: string) => HeedError): void {
  const { width, height, shapes } = (frame ?? {}) as Record<string, unknown>;
  if ((width as number) > 0 && (height as number) > 0 && Array.isArray(shapes)) return;
  throw wrong(`expected a frame { width, height, shapes }, got ${JSON.stringify(frame)}`, 'people judge what it shows');
}

function someAction(space: Space, { integer, normal }: ReturnType<typeof random>): number[] {
  if (space.kind === 'discrete') return [integer(space.n)];
  return Array.from(space.low, (low, i) => Math.min(Math.max(normal(), low), space.high[i]));
}

const isClass = (make: unknown): boolean => /^class\b/.test(Function.prototype.toString.call(make));

const same = (a: Float32Array, b: Float32Array): boolean => a.every((x, i) => x === b[i]);
