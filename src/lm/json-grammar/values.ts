/** JSON values as rules: numbers, strings, lists, objects, and any value. */
import {
  blanks,
  choice,
  literal,
  once,
  oneOf,
  optional,
  type Rule,
  sequence,
  stringOf,
  type Then,
  upTo,
  within,
} from './rules.ts';
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
export const list =
  (open: string, item: (place: number) => Rule | undefined, close: string, { min, max }: Counts, fixed = 0): Rule =>
  (then) => {
    const after = once(then);
    const made = new Map<number, Then>();
    // behind the places with rules of their own and the counts, all places are the same
    const most = max === Number.POSITIVE_INFINITY ? Math.max(min, fixed) + 1 : max;
    const from = (count: number): Then => {
      const place = Math.min(count, most);
      let found = made.get(place);
      if (!found) {
        const next = place < max ? item(place) : undefined;
        const comma = place === 0 ? [] : [literal(','), blanks];
        const more = next && sequence(...comma, next, () => from(place + 1)());
        const end = place >= min ? [literal(close)] : [];
        found = once(() => sequence(blanks, choice(...(more ? [more] : []), ...end))(after));
        made.set(place, found);
      }
      return found;
    };
    return literal(open)(from(0));
  };

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
        (then) => anyObject(depth)(then),
        (then) => list('[', () => anyValue(depth - 1), ']', ANY)(then),
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
  return (then) => {
    const after = once(then);
    const keys = new Map<string, Then>();
    const rests = new Map<string, Then>();
    const memo = (map: Map<string, Then>, place: number, count: number, make: Then): Then => {
      const key = `${place},${count}`;
      let found = map.get(key);
      if (!found) {
        found = once(make);
        map.set(key, found);
      }
      return found;
    };
    /** The key of the member at a place, its value, and what follows. */
    const from = (place: number, count: number): Then =>
      memo(keys, place, count, () => {
        const { key, value } = members[place];
        return member(literal(JSON.stringify(key)), value)(rest(place + 1, counts ? count + 1 : 1));
      });
    /** What follows after `count` members. */
    const rest = (place: number, count: number): Then =>
      memo(rests, place, count, () => {
        const next: Then[] = [];
        for (let i = place; i < size; i++) {
          if (canGoOn(i + 1, count + 1)) next.push(from(i, count));
          if (members[i].required) break;
        }
        const more: Rule = () => next.flatMap((one) => one());
        const mayEnd = requiredFrom[place] === 0 && (!counts || count >= min);
        const comma = count === 0 ? more : sequence(literal(','), blanks, more);
        return sequence(blanks, choice(...(next.length > 0 ? [comma] : []), ...(mayEnd ? [literal('}')] : [])))(after);
      });
    return literal('{')(rest(0, 0));
  };
}

/** Parts with blanks before each. */
export const blanksAnd = (...parts: readonly Rule[]): Rule => sequence(...parts.flatMap((part) => [blanks, part]));
