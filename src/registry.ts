/** Named things that a program can add to: losses, schedules, rewards, environments. */
import { HeedError } from './error.ts';

/** The things of one kind, by name. */
export interface Registry<T> {
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
}

/**
 * Creates a registry.
 *
 * @param kind - What one of the things is, in a word or two for error messages: "loss", "learning rate schedule".
 * @param entries - What it holds from the start, by name.
 * @throws HeedError where a name of `entries` is empty or contains white space.
 */
export function createRegistry<T>(kind: string, entries: Readonly<Record<string, T>> = {}): Registry<T> {
  const values = new Map<string, T>();
  const registry: Registry<T> = {
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
  };
  for (const [name, value] of Object.entries(entries)) registry.register(name, value);
  return registry;
}
