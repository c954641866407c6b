/** JSON values as rules: numbers, strings, lists, objects, and any value. */
import {
  before,
  blanks,
  choice,
  literal,
  once,
  oneOf,
  optional,
  type Rule,
  ruleOf,
  sequence,
  type Then,
  upTo,
  within,
} from './rules.ts';
import { stringOf } from './strings.ts';
import { createTerms } from './terms.ts';

const digit = within(0x30, 0x39);

const DIGITS = 15; // which a double holds
/** A whole number. */
export const integer = sequence(
  optional(literal('-')),
  choice(literal('0'), sequence(within(0x31, 0x39), upTo(DIGITS - 1, digit))),
);
/** A number. Digits are limited, so that a weak model cannot write them forever. */
export const number = sequence(
  integer,
  optional(sequence(literal('.'), digit, upTo(DIGITS - 1, digit))),
  optional(
    sequence(
      oneOf((byte) => byte === 0x65 || byte === 0x45),
      optional(oneOf((byte) => byte === 0x2b || byte === 0x2d)),
      digit,
      upTo(1, digit),
    ),
  ),
);

const free = createTerms();
/** Any text. */
export const string = stringOf(free, free.all);

/** How many items or members. */
export interface Counts {
  min: number;
  max: number;
}

/** Values between brackets, with commas. `item` is the rule of the item at a place; undefined where none may be. */
export function list(
  open: string,
  item: (place: number) => Rule | undefined,
  close: string,
  { min, max }: Counts,
  fixed = 0,
): Rule {
  /** Bytes from each place on, when the list ends as soon as it may. */
  const leastFrom = () => {
    const least = new Array<number>(min + 1).fill(1);
    for (let place = min - 1; place >= 0; place--) {
      least[place] = least[place + 1] + item(place)!.least + Number(place > 0);
    }
    return least;
  };
  const begin = (then: Then) => {
    const after = once(then, then.least);
    const made = new Map<number, Then>();
    const least = leastFrom();
    // behind the places with rules of their own and the counts, all places are the same
    const most = max === Number.POSITIVE_INFINITY ? Math.max(min, fixed) + 1 : max;
    const from = (count: number): Then => {
      const place = Math.min(count, most);
      let found = made.get(place);
      if (!found) {
        const next = place < max ? item(place) : undefined;
        const comma = place === 0 ? [] : [literal(','), blanks];
        const goOn = ruleOf(
          () => from(place + 1)(),
          () => least[Math.min(place + 1, min)],
        );
        const more = next && sequence(...comma, next, goOn);
        const end = place >= min ? [literal(close)] : [];
        const rest = sequence(blanks, choice(...(more ? [more] : []), ...end));
        found = once(() => rest(after), least[Math.min(place, min)] + then.least);
        made.set(place, found);
      }
      return found;
    };
    return literal(open)(from(0));
  };
  return ruleOf(begin, () => 1 + leastFrom()[0]);
}

const member = (key: Rule, value: Rule): Rule => sequence(key, blanks, literal(':'), blanks, value);

const ANY: Counts = { min: 0, max: Number.POSITIVE_INFINITY };

/** An object whose keys and values are of these rules. */
export const record = (key: Rule, value: Rule, counts: Counts = ANY): Rule =>
  list('{', () => member(key, value), '}', counts);

const DEEPEST = 16;
const scalar = choice(string, number, literal('true'), literal('false'), literal('null'));
/** Any object, `depth` values deep at most. */
export const anyObject = (depth = DEEPEST): Rule => record(string, anyValue(depth - 1));
/** Any value. */
export const anyValue = (depth = DEEPEST): Rule =>
  depth === 0
    ? scalar
    : choice(
        scalar,
        later(() => anyObject(depth)),
        later(() => list('[', () => anyValue(depth - 1), ']', ANY)),
      );
/** A list or an object that may be empty, made when it is needed. */
const later = (made: () => Rule): Rule =>
  ruleOf(
    (then) => made()(then),
    () => 2,
  );

/** A member of an object. */
export interface Member {
  key: string;
  value: Rule;
  required: boolean;
}

/** An object with these members in this order, some of which may be missing; undefined if the counts cannot be met. */
export function object(members: readonly Member[], { min, max }: Counts): Rule | undefined {
  const size = members.length;
  // how many members from a place on have to come
  const requiredFrom = new Array<number>(size + 1).fill(0);
  for (let i = size - 1; i >= 0; i--) requiredFrom[i] = requiredFrom[i + 1] + Number(members[i].required);
  const counts = min > requiredFrom[0] || max < size;
  const canGoOn = (place: number, count: number) =>
    !counts || (count + size - place >= min && count + requiredFrom[place] <= max);
  if (!canGoOn(0, 0)) return undefined;
  /** Bytes from a place on after `count` members, with those that have to come and no others. */
  const measure = () => {
    const costs = members.map(({ key, value }) => member(literal(JSON.stringify(key)), value).least);
    const required = new Array<number>(size + 1).fill(0);
    for (let i = size - 1; i >= 0; i--) required[i] = required[i + 1] + (members[i].required ? costs[i] : 0);
    return (place: number, count: number): number => {
      const missing = counts ? Math.max(0, min - count - requiredFrom[place]) : 0;
      const others = missing === 0 ? [] : costs.filter((_, i) => i >= place && !members[i].required);
      const cheapest = others.sort((a, b) => a - b).slice(0, missing);
      const commas = Math.max(0, requiredFrom[place] + cheapest.length - Number(count === 0));
      return cheapest.reduce((sum, cost) => sum + cost, required[place] + commas + 1);
    };
  };
  const begin = (then: Then) => {
    const after = once(then, then.least);
    const leastFrom = measure();
    const keys = new Map<string, Then>();
    const rests = new Map<string, Then>();
    const memo = (map: Map<string, Then>, place: number, count: number, make: () => Then): Then => {
      const key = `${place},${count}`;
      let found = map.get(key);
      if (!found) {
        found = make();
        map.set(key, found);
      }
      return found;
    };
    /** The key of the member at a place, its value, and what follows. */
    const from = (place: number, count: number): Then =>
      memo(keys, place, count, () => {
        const { key, value } = members[place];
        return before(member(literal(JSON.stringify(key)), value), rest(place + 1, counts ? count + 1 : 1));
      });
    /** What follows after `count` members. */
    const rest = (place: number, count: number): Then =>
      memo(rests, place, count, () => once(() => restOf(place, count), leastFrom(place, count) + then.least));
    const restOf = (place: number, count: number) => {
      const next: Then[] = [];
      for (let i = place; i < size; i++) {
        if (canGoOn(i + 1, count + 1)) next.push(from(i, count));
        if (members[i].required) break;
      }
      const more = ruleOf(
        () => next.flatMap((one) => one()),
        () => Math.min(...next.map(({ least }) => least)) - after.least,
      );
      const mayEnd = requiredFrom[place] === 0 && (!counts || count >= min);
      const comma = count === 0 ? more : sequence(literal(','), blanks, more);
      return sequence(blanks, choice(...(next.length > 0 ? [comma] : []), ...(mayEnd ? [literal('}')] : [])))(after);
    };
    return literal('{')(rest(0, 0));
  };
  return ruleOf(begin, () => 1 + measure()(0, 0));
}

/** Parts with blanks before each. */
export const blanksAnd = (...parts: readonly Rule[]): Rule => sequence(...parts.flatMap((part) => [blanks, part]));
