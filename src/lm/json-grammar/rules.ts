/**
 * Rules of a grammar, byte by byte: a rule, with what comes after it, becomes nodes; a state is a set of nodes. Nodes,
 * states and their steps are made when they are first needed and remembered, so a state that was seen before costs one
 * look-up for each byte.
 */
import { HeedError } from '../../error.ts';

/** What may be written next. */
export interface GrammarState {
  /** Whether the text may end here. */
  readonly ends: boolean;
  /**
   * How many characters other than quotes, backslashes and control characters may come next, whichever they are: inside
   * of a string. Undefined elsewhere.
   */
  readonly free: number | undefined;
  /** Whether the text is free here: any token may come, special ones too, and the text may end. */
  readonly isText: boolean;
  /** Bytes of the shortest way to an end; infinite where none is known. Some byte leads to a state that has one less. */
  readonly least: number;
  /** The state after a byte; undefined where the byte is not allowed. */
  next(byte: number): GrammarState | undefined;
}

export interface Node {
  readonly id: number;
  readonly free?: number;
  readonly isText?: boolean;
  readonly least: number;
  /** Nodes after a byte. */
  on(byte: number): readonly Node[];
}

/** What comes after, and the bytes that it takes at least. */
export interface Then {
  (): readonly Node[];
  readonly least: number;
}
/** What may be written before `then`, and the bytes of the shortest text. */
export interface Rule {
  (then: Then): readonly Node[];
  readonly least: number;
}

/** Counts how often the shortest texts of references were found anew: what was computed from them before is old. */
let measurements = 0;

/** Makes a rule. `least` is asked when it is needed: rules may contain themselves. */
export function ruleOf(begin: (then: Then) => readonly Node[], least: () => number): Rule {
  let known = 0;
  let measured = -1;
  const get = () => {
    if (measured !== measurements) [known, measured] = [least(), measurements];
    return known;
  };
  return Object.defineProperty(begin, 'least', { get }) as Rule;
}

/** A rule that may contain itself: its parts are known later. */
export interface Reference {
  rule: Rule;
  least: number;
}

/** Finds the shortest texts of rules that contain one another: each round finds those that are one reference deeper. */
export function measure(references: readonly Reference[]): void {
  for (let changed = references.length > 0; changed; measurements++) {
    changed = false;
    for (const reference of references) {
      const { least } = reference.rule;
      changed ||= least < reference.least;
      reference.least = least;
    }
  }
}

/** A bound of work: looks at nodes, and how many of them a node that is made counts for. */
export interface WorkLimit {
  most: number;
  node: number;
}

const UNLIMITED: WorkLimit = { most: Number.POSITIVE_INFINITY, node: 0 };
let limit = UNLIMITED;
let left = limit.most;
/** Bounds the nodes that are looked at and made; what is a part of other work has its bound. Throws a HeedError beyond. */
export function withinWork<T>(given: WorkLimit, compute: () => T): T {
  if (limit !== UNLIMITED) return compute();
  limit = given;
  left = limit.most;
  try {
    return compute();
  } finally {
    limit = UNLIMITED;
    left = limit.most;
  }
}

function spend(work: number): void {
  left -= work;
  if (left >= 0) return;
  throw new HeedError('The format has too many alternatives at one place: use fewer, or a shorter schema.');
}

/** States that a grammar may have: some hundred MB. */
const MOST_STATES = 300_000;

let nodes = 0;
function node(on: (byte: number) => readonly Node[], least: number, free?: number, isText?: boolean): Node {
  spend(limit.node);
  return { id: nodes++, on, least, free, isText };
}
const end = node(() => [], 0);

/** What `then` returns, made once. `least`: bytes that it takes at least. */
export function once(then: () => readonly Node[], least: number): Then {
  let made: readonly Node[] | undefined;
  const get = () => {
    made ??= then();
    return made;
  };
  return Object.assign(get, { least });
}

/** What a rule writes, and what comes then. */
export const before = (rule: Rule, then: Then): Then => once(() => rule(then), rule.least + then.least);

/** The beginning of what a rule writes. */
export const beginningOf = (rule: Rule): GrammarState => stateOf(rule(once(() => [end], 0)), new Map());

function stateOf(all: readonly Node[], states: Map<string, GrammarState>): GrammarState {
  const set = [...new Set(all)];
  const key = set
    .map(({ id }) => id)
    .sort((a, b) => a - b)
    .join();
  const known = states.get(key);
  if (known) return known;
  if (states.size >= MOST_STATES)
    throw new HeedError('The format takes too much memory: write less, or a simpler one.');
  let steps: (GrammarState | null | undefined)[] | undefined;
  const state: GrammarState = {
    ends: set.includes(end),
    free: set.length === 1 ? set[0].free : undefined,
    isText: set.some((one) => one.isText),
    least: set.reduce((least, one) => Math.min(least, one.least), Number.POSITIVE_INFINITY),
    next(byte) {
      const known = steps?.[byte];
      if (known !== undefined) return known ?? undefined;
      spend(set.length);
      const after = set.flatMap((one) => one.on(byte));
      const next = after.length === 0 ? undefined : stateOf(after, states);
      steps ??= new Array(256);
      steps[byte] = next ?? null;
      return next;
    },
  };
  states.set(key, state);
  return state;
}

const sum = (a: number, b: number) => a + b;

export const sequence = (...rules: readonly Rule[]): Rule =>
  ruleOf(
    (then) => rules.reduceRight<Then>((then, rule) => before(rule, then), then)(),
    () => rules.map(({ least }) => least).reduce(sum, 0),
  );

export const choice = (...rules: readonly Rule[]): Rule =>
  ruleOf(
    (then) => {
      const after = once(then, then.least);
      return rules.flatMap((rule) => rule(after));
    },
    () => rules.reduce((least, rule) => Math.min(least, rule.least), Number.POSITIVE_INFINITY),
  );

export const nothing = ruleOf(
  (then) => then(),
  () => 0,
);

export const optional = (rule: Rule): Rule => choice(rule, nothing);

export const oneOf = (matches: (byte: number) => boolean): Rule =>
  ruleOf(
    (then) => {
      const after = once(then, then.least);
      return [node((byte) => (matches(byte) ? after() : []), 1 + then.least)];
    },
    () => 1,
  );

export const within = (from: number, to: number): Rule => oneOf((byte) => byte >= from && byte <= to);

/** Up to `most` times, as often as possible or not. */
export const upTo = (most: number, rule: Rule): Rule =>
  most === 0
    ? nothing
    : optional(
        ruleOf(
          (then) => rule(once(() => upTo(most - 1, rule)(then), then.least)),
          () => rule.least,
        ),
      );

/** Any number of times, none too. `rule` writes something each time. */
export const anyTimes = (rule: Rule): Rule => {
  const made = new WeakMap<Then, readonly Node[]>();
  const all: Rule = ruleOf(
    (then) => {
      const found = made.get(then) ?? [...rule(before(all, then)), ...then()];
      made.set(then, found);
      return found;
    },
    () => 0,
  );
  return all;
};

/** An automaton without choices: states by name, and where a text may end. */
export interface Automaton<S> {
  start: S;
  /** Tells states apart. */
  key(state: S): string;
  after(state: S, byte: number): S | undefined;
  ends(state: S): boolean;
  free?(state: S): number | undefined;
  /** Whether the text is free at a state. */
  isText?(state: S): boolean;
  /** Bytes of the shortest way to an end; infinite where it takes too long to find. */
  least(state: S): number;
}

/** What an automaton accepts. */
export const automaton = <S>({ start, key, after, ends, free, isText, least }: Automaton<S>): Rule =>
  ruleOf(
    (then) => {
      const made = new Map<string, readonly Node[]>();
      const nodesOf = (state: S): readonly Node[] => {
        const name = key(state);
        let found = made.get(name);
        if (!found) {
          const on = (byte: number) => {
            const next = after(state, byte);
            return next === undefined ? [] : nodesOf(next);
          };
          // where the text may end, what comes then has the shortest way
          if (ends(state)) found = [node(on, Number.POSITIVE_INFINITY, undefined, isText?.(state)), ...then()];
          else found = [node(on, least(state) + then.least, free?.(state), isText?.(state))];
          made.set(name, found);
        }
        return found;
      };
      return nodesOf(start);
    },
    () => least(start),
  );

const encoder = new TextEncoder();

/** One of some texts. */
export function texts(all: readonly string[]): Rule {
  const sorted = [...new Set(all)].map((text) => encoder.encode(text)).sort(compareBytes);
  return automaton<{ low: number; high: number; depth: number }>({
    start: { low: 0, high: sorted.length, depth: 0 },
    key: ({ low, high, depth }) => `${low},${high},${depth}`,
    // a text comes before those that begin with it
    ends: ({ low, depth }) => sorted[low].length === depth,
    least({ low, high, depth }) {
      let least = sorted[low].length;
      for (let i = low + 1; i < high; i++) least = Math.min(least, sorted[i].length);
      return least - depth;
    },
    after({ low, high, depth }, byte) {
      const bound = (value: number) => {
        let [from, to] = [low, high];
        while (from < to) {
          const middle = (from + to) >> 1;
          if ((sorted[middle][depth] ?? -1) < value) from = middle + 1;
          else to = middle;
        }
        return from;
      };
      const [first, last] = [bound(byte), bound(byte + 1)];
      return first < last ? { low: first, high: last, depth: depth + 1 } : undefined;
    },
  });
}

/** The order of texts by their bytes. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

export const literal = (text: string): Rule => (text === '' ? nothing : texts([text]));

const INDENTATION = 16;
/** Nothing, one space, or a new line with its indentation. */
export const blanks = optional(choice(literal(' '), sequence(literal('\n'), upTo(INDENTATION, literal(' ')))));
