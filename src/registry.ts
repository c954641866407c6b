/** Named things that a program can add to: losses, schedules, rewards, environments. */
import { z } from 'zod';
import { HeedError } from './error.ts';

/** The things of one kind, by name; `Name` are the names that heed itself registers. */
export interface Registry<T, Name extends string = string> {
  /**
   * Adds a thing under a name. From then on, options may use the name. Each thread has a registry of its own: a module
   * that registers things must be imported in every thread that uses them.
   *
   * @throws HeedError where the name is taken, is empty, or contains white space.
   */
  register(name: string, value: T): void;
  /** The thing with a name. @throws HeedError if there is none; its hint lists the names. */
  get(name: string): T;
  /** Whether a name is registered. */
  has(name: string): boolean;
  /** All names, in the order in which they were registered. */
  names(): string[];
  /** What an option holds: the thing that has the name, or the thing itself. @throws HeedError as `get` does. */
  resolve(option: NameOr<T, Name>): T;
}

/** An option that takes a name of heed's, a name that a plugin registers, or the thing itself. */
export type NameOr<T, Name extends string = string> = Name | (string & {}) | T;

/**
 * Creates a registry.
 *
 * @param kind - What one of the things is, in a word or two for error messages: "loss", "learning rate schedule".
 * @param entries - What it holds from the start, by name.
 * @throws HeedError where a name of `entries` is empty or contains white space.
 */
export function createRegistry<T extends object, Name extends string = string>(
  kind: string,
  entries?: Readonly<Record<Name, T>>,
): Registry<T, Name> {
  const values = new Map<string, T>();
  const registry: Registry<T, Name> = {
    register(name, value) {
      if (typeof name !== 'string' || !/^\S+$/.test(name)) {
        throw new HeedError(`${JSON.stringify(name)} is not a valid ${kind} name`, {
          hint: 'a name is a string of at least one character, without white space',
        });
      }
      if (values.has(name)) {
        throw new HeedError(`${kind} "${name}" is already registered`, { hint: 'choose another name' });
      }
      values.set(name, value);
    },
    get(name) {
      if (!values.has(name)) {
        throw new HeedError(`unknown ${kind} ${JSON.stringify(name)}`, {
          hint: values.size > 0 ? `choose one of ${[...values.keys()].join(', ')}` : 'register one first',
        });
      }
      return values.get(name)!;
    },
    has: (name) => values.has(name),
    names: () => [...values.keys()],
    resolve: (option) => (typeof option === 'string' ? registry.get(option) : (option as T)),
  };
  for (const [name, value] of Object.entries<T>(entries ?? {})) registry.register(name, value);
  return registry;
}

/**
 * The schema of an option that takes a registered name or the thing itself. Names are checked when options are read, after
 * plugins have been imported; help and forms list the names that heed registers.
 */
export const choiceOf = <T extends object, Name extends string>(registry: Registry<T, Name>) =>
  z
    .custom<NameOr<T, Name>>(
      (value) => (typeof value === 'string' ? registry.has(value) : typeof value === 'function' || isObject(value)),
      { error: () => `expected one of ${registry.names().join(', ')}` },
    )
    .meta({ type: 'string', names: registry.names() });

const isObject = (value: unknown) => typeof value === 'object' && value !== null;
