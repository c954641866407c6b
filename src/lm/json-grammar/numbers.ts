/**
 * Numbers within bounds, digit by digit: a digit may be written if a number within the bounds begins so. All is computed
 * in whole numbers of 10^−places, so nothing is rounded.
 */
import { automaton, type Rule } from './rules.ts';

/** What a schema asks of a number. */
export interface NumberBounds {
  integer: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
}

const DIGITS = 15; // which a double holds

/** A decimal as a whole number of 10^−places. */
function decimal(value: number): { whole: bigint; places: number } {
  const [, sign, before, after = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value))!;
  const places = after.length - Number(exponent);
  const whole = BigInt(sign + before + after);
  return places >= 0 ? { whole, places } : { whole: whole * 10n ** BigInt(-places), places: 0 };
}

const power = (exponent: number): bigint => 10n ** BigInt(exponent);
const floor = (a: bigint, b: bigint): bigint => (a >= 0n || a % b === 0n ? a / b : a / b - 1n);
const ceil = (a: bigint, b: bigint): bigint => -floor(-a, b);

/** What was written of a number. */
interface NumberState {
  negative: boolean;
  /** Digits so far, without the point. */
  digits: string;
  /** Digits after the point; undefined before it. */
  fraction: number | undefined;
  /** Whether every number that begins so is allowed: then only the room for digits counts. */
  free: boolean;
}

const larger = (a: bigint, b: bigint) => (a > b ? a : b);

/** Bounds in whole numbers of 10^−places. */
function scaled(bounds: NumberBounds) {
  const { integer, multipleOf } = bounds;
  const multiple = multipleOf === undefined ? undefined : decimal(multipleOf);
  const edges = [bounds.minimum, bounds.maximum, bounds.exclusiveMinimum, bounds.exclusiveMaximum];
  const given = edges.filter((value) => value !== undefined).map(decimal);
  const most = (multiple && !integer && multiple.places) || DIGITS;
  const written = integer || multiple?.places === 0 ? 0 : Math.min(DIGITS, most);
  const places = Math.max(written, multiple?.places ?? 0, ...given.map(({ places }) => places));
  const scale = (value: number | undefined, none: bigint) => {
    if (value === undefined) return none;
    const { whole, places: digits } = decimal(value);
    return whole * power(places - digits);
  };
  const room = Math.max(DIGITS, ...given.map(({ whole, places }) => String(whole).replace('-', '').length - places));
  const far = power(room + places);
  return {
    multiple,
    /** Digits after the point that may be written, and that are computed with. */
    written,
    places,
    /** Digits of a number. */
    room,
    lowest: larger(scale(bounds.minimum, -far), scale(bounds.exclusiveMinimum, -far - 1n) + 1n),
    highest: -larger(-scale(bounds.maximum, far), -(scale(bounds.exclusiveMaximum, far + 1n) - 1n)),
    unit: multiple ? multiple.whole * power(places - multiple.places) : 1n,
  };
}

/** Numbers without exponent within bounds; undefined if there are none. */
export function boundedNumber(bounds: NumberBounds): Rule | undefined {
  const { multiple, written, places, room, lowest, highest, unit } = scaled(bounds);
  /** Whether one of low, low + step, …, high is within the bounds and a multiple. */
  const hits = (negative: boolean, low: bigint, high: bigint, step: bigint): boolean => {
    const [from, to] = negative ? [-highest, -lowest] : [lowest, highest];
    const [first, last] = [larger(low, from), high < to ? high : to];
    const every = leastCommon(step, unit);
    return first <= last && ceil(first, every) <= floor(last, every);
  };
  const leftOf = ({ digits }: NumberState) => room - digits.length;
  const fractionLeft = (state: NumberState) => Math.min(written - (state.fraction ?? 0), leftOf(state));
  /** The numbers that begin so, by how many digits follow before the point: the first, the last and their distance. */
  const spans = (state: NumberState): [bigint, bigint, bigint][] => {
    const { digits, fraction } = state;
    const value = BigInt(digits);
    if (fraction !== undefined) {
      const left = fractionLeft(state);
      const step = power(places - fraction - left);
      const low = value * power(places - fraction);
      return [[low, low + (power(left) - 1n) * step, step]];
    }
    const all: [bigint, bigint, bigint][] = [];
    for (let more = 0; more <= (digits === '0' ? 0 : leftOf(state)); more++) {
      const left = Math.max(0, Math.min(written, leftOf(state) - more));
      const step = power(places - left);
      const low = value * power(more) * power(places);
      all.push([low, (value + 1n) * power(more) * power(places) - step, step]);
    }
    return all;
  };
  const settle = (state: NumberState): NumberState | undefined => {
    if (state.free) return leftOf(state) >= 0 ? state : undefined;
    if (leftOf(state) < 0) return undefined;
    const found = spans(state);
    if (!found.some(([low, high, step]) => hits(state.negative, low, high, step))) return undefined;
    const [from, to] = state.negative ? [-highest, -lowest] : [lowest, highest];
    const free = multiple === undefined && found.every(([low, high]) => low >= from && high <= to);
    return { ...state, free };
  };
  const begin = (negative: boolean): NumberState => ({ negative, digits: '', fraction: undefined, free: false });
  const hasNegative = lowest < 0n && '123456789'.split('').some((digit) => settle({ ...begin(true), digits: digit }));
  const startsWithZero = (negative: boolean) => settle({ ...begin(negative), digits: '0' });
  const canBegin =
    hasNegative ||
    startsWithZero(true) ||
    startsWithZero(false) ||
    '123456789'.split('').some((digit) => settle({ ...begin(false), digits: digit }));
  if (!canBegin) return undefined;
  const missesDigit = ({ digits, fraction }: NumberState) => digits === '' || fraction === 0;

  const least = (state: NumberState): number => {
    const { negative, digits, fraction, free } = state;
    if (free) return Number(missesDigit(state));
    let shortest = digits === '' && !negative && hasNegative ? 1 + least(begin(true)) : Number.POSITIVE_INFINITY;
    const mostDigits = fraction !== undefined || digits === '0' ? 0 : leftOf(state);
    for (let more = Number(digits === ''); more <= mostDigits; more++) {
      const mostPlaces = Math.min(written - (fraction ?? 0), leftOf(state) - more);
      for (let after = Number(fraction === 0); after <= mostPlaces; after++) {
        const bytes = more + after + Number(fraction === undefined && after > 0);
        const step = power(places - (fraction ?? 0) - after);
        const low = BigInt(digits) * power(more + places - (fraction ?? 0));
        const high = low + power(more + places - (fraction ?? 0)) - step;
        if (bytes < shortest && hits(negative, low, high, step)) shortest = bytes;
      }
    }
    return shortest;
  };

  return automaton<NumberState>({
    start: begin(false),
    least,
    key: ({ negative, digits, fraction, free }) =>
      free ? `free|${digits === '0'}|${digits.length}|${fraction}` : `${negative}|${digits}|${fraction}`,
    ends(state) {
      if (missesDigit(state)) return false;
      if (state.free) return true;
      const value = BigInt(state.digits) * power(places - (state.fraction ?? 0));
      return hits(state.negative, value, value, 1n);
    },
    after(state, byte) {
      const { negative, digits, fraction } = state;
      const letter = String.fromCharCode(byte);
      if (letter === '-') {
        const isFirst = digits === '' && !negative;
        return isFirst && (hasNegative || startsWithZero(true)) ? begin(true) : undefined;
      }
      if (letter === '.') {
        if (digits === '' || fraction !== undefined || fractionLeft(state) < 1) return undefined;
        return settle({ ...state, fraction: 0 });
      }
      if (letter < '0' || letter > '9') return undefined;
      if (fraction === undefined && digits === '0') return undefined;
      if (fraction !== undefined && fractionLeft(state) < 1) return undefined;
      return settle({ ...state, digits: digits + letter, fraction: fraction === undefined ? undefined : fraction + 1 });
    },
  });
}

function leastCommon(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y > 0n) [x, y] = [y, x % y];
  return (a / x) * b;
}
