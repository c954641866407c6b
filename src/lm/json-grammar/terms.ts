/**
 * Regular expressions with intersection and complement, by derivatives (Brzozowski 1964; Owens et al. 2009): a term is a
 * language of texts, and the derivative of a term by a character is the language of what may follow. Equal terms are one
 * object, so terms are the states of an automaton that is made as far as it is used. Characters are code points.
 */
import { HeedError } from '../../error.ts';

/** Sorted ranges of code points, without overlaps: [from, to, from, to, …], both inclusive. */
export type Ranges = readonly number[];

/** A language. */
export interface Term {
  readonly id: number;
  readonly kind: 'none' | 'empty' | 'set' | 'cat' | 'alt' | 'and' | 'not' | 'repeat';
  /** Whether it has the empty text. */
  readonly nullable: boolean;
  /** Whether only looking further says that it has a text at all. */
  readonly unsure: boolean;
  readonly parts: readonly Term[];
  readonly ranges: Ranges;
  readonly min: number;
  readonly max: number;
}

/** What may follow: texts that begin with a character of the range go on with a text of the term. */
export interface Transition {
  from: number;
  to: number;
  term: Term;
}

/** The last code point. */
export const LAST = 0x10ffff;
/** Derivatives that the patterns of a schema may need. */
const MOST_DERIVATIVES = 400_000;

/** Makes terms and knows what follows them. */
export interface Terms {
  readonly none: Term;
  readonly empty: Term;
  /** All texts. */
  readonly all: Term;
  set(ranges: Ranges): Term;
  cat(...parts: readonly Term[]): Term;
  alt(...parts: readonly Term[]): Term;
  and(...parts: readonly Term[]): Term;
  not(part: Term): Term;
  /** From `min` to `max` times; Infinity is allowed. */
  repeat(part: Term, min: number, max: number): Term;
  /** Where a text of the term can begin, and how it goes on; only what has an end. */
  transitions(term: Term): readonly Transition[];
  /** The term after a character; undefined if nothing follows. */
  after(term: Term, character: number): Term | undefined;
  /** Whether the term has any text. */
  alive(term: Term): boolean;
  /** The cost of the cheapest text, by the cost of the cheapest of a range of characters; infinite if it is not found. */
  least(term: Term, costOf: (from: number, to: number) => number): number;
  /** How many characters of any kind may come next; undefined where it depends on the characters. */
  free(term: Term): number | undefined;
}

/** Makes terms, each of them once. */
function createAlgebra() {
  const known = new Map<string, Term>();
  const make = (kind: Term['kind'], nullable: boolean, parts: readonly Term[], more: Partial<Term> = {}): Term => {
    const { ranges = [], min = 0, max = 0 } = more;
    const key = `${kind}|${parts.map(({ id }) => id)}|${ranges}|${min},${max}`;
    let term = known.get(key);
    if (!term) {
      const unsure = kind === 'and' || kind === 'not' || parts.some(({ unsure }) => unsure);
      term = { id: known.size, kind, nullable, unsure, parts, ranges, min, max };
      known.set(key, term);
    }
    return term;
  };
  const none = make('none', false, []);
  const empty = make('empty', true, []);
  const set = (ranges: Ranges): Term => (ranges.length === 0 ? none : make('set', false, [], { ranges }));
  const any = set([0, LAST]);

  const repeat = (part: Term, min: number, max: number): Term => {
    if (min > max) return none;
    if (part === none) return min === 0 ? empty : none;
    if (part === empty || max === 0) return empty;
    if (min === 1 && max === 1) return part;
    return make('repeat', min === 0 || part.nullable, [part], { min: part.nullable ? 0 : min, max });
  };
  const all = repeat(any, 0, Number.POSITIVE_INFINITY);

  const pair = (first: Term, rest: Term): Term => {
    if (first === none || rest === none) return none;
    if (first === empty) return rest;
    if (rest === empty) return first;
    if (first === all && rest === all) return all;
    if (first.kind === 'cat') return pair(first.parts[0], pair(first.parts[1], rest));
    return make('cat', first.nullable && rest.nullable, [first, rest]);
  };
  const cat = (...parts: readonly Term[]): Term => parts.reduceRight((rest, part) => pair(part, rest), empty);

  const flat = (kind: Term['kind'], parts: readonly Term[]): Term[] => {
    const all = parts.flatMap((part) => (part.kind === kind ? part.parts : [part]));
    return [...new Set(all)].sort((a, b) => a.id - b.id);
  };
  const alt = (...parts: readonly Term[]): Term => {
    const terms = flat('alt', parts).filter((part) => part !== none);
    if (terms.includes(all)) return all;
    const sets = terms.filter(({ kind }) => kind === 'set');
    if (sets.length > 1) {
      return alt(set(union(...sets.map(({ ranges }) => ranges))), ...terms.filter(({ kind }) => kind !== 'set'));
    }
    if (terms.length < 2) return terms[0] ?? none;
    const nullable = terms.some((part) => part.nullable);
    return make(
      'alt',
      nullable,
      terms.filter((part) => part !== empty || !terms.some((other) => other !== empty && other.nullable)),
    );
  };
  const and = (...parts: readonly Term[]): Term => {
    const terms = flat('and', parts).filter((part) => part !== all);
    if (terms.includes(none)) return none;
    const counted = terms.filter(({ kind, parts }) => kind === 'repeat' && parts[0] === any);
    if (counted.length > 1) {
      const min = Math.max(...counted.map(({ min }) => min));
      const max = Math.min(...counted.map(({ max }) => max));
      return min > max ? none : and(repeat(any, min, max), ...terms.filter((part) => !counted.includes(part)));
    }
    if (terms.includes(empty)) return terms.every(({ nullable }) => nullable) ? empty : none;
    if (terms.length < 2) return terms[0] ?? all;
    return make(
      'and',
      terms.every(({ nullable }) => nullable),
      terms,
    );
  };
  const not = (part: Term): Term => {
    if (part === none) return all;
    if (part === all) return none;
    return part.kind === 'not' ? part.parts[0] : make('not', !part.nullable, [part]);
  };

  return { none, empty, any, all, set, pair, cat, alt, and, not, repeat };
}

/** What is left to match of a term after a character. It throws a HeedError when that takes too much work. */
function createDerivative({ none, empty, pair, alt, and, not, repeat }: ReturnType<typeof createAlgebra>) {
  let derivatives = 0;
  const derived = new Map<number, Term>();
  const derivative = (term: Term, character: number): Term => {
    if (term.kind === 'set' || term.kind === 'none' || term.kind === 'empty') return derive(term, character);
    const key = term.id * (LAST + 1) + character;
    let found = derived.get(key);
    if (!found) {
      found = derive(term, character);
      derived.set(key, found);
    }
    return found;
  };
  const derive = (term: Term, character: number): Term => {
    if (++derivatives > MOST_DERIVATIVES) throw new HeedError('The patterns of the JSON schema take too much work.');
    const { kind, parts, ranges, min, max } = term;
    switch (kind) {
      case 'none':
      case 'empty':
        return none;
      case 'set':
        return includes(ranges, character) ? empty : none;
      case 'cat': {
        const first = pair(derivative(parts[0], character), parts[1]);
        return parts[0].nullable ? alt(first, derivative(parts[1], character)) : first;
      }
      case 'alt':
        return alt(...parts.map((part) => derivative(part, character)));
      case 'and':
        return and(...parts.map((part) => derivative(part, character)));
      case 'not':
        return not(derivative(parts[0], character));
      case 'repeat':
        return pair(derivative(parts[0], character), repeat(parts[0], Math.max(0, min - 1), max - 1));
    }
  };
  return derivative;
}

/** Makes a set of terms. Its methods throw a HeedError when patterns take too much work. */
export function createTerms(): Terms {
  const algebra = createAlgebra();
  const derivative = createDerivative(algebra);
  const followed = new Map<Term, readonly Transition[]>();
  const living = new Map<Term, boolean>();

  /** Where derivatives may change: the first code points of ranges. */
  const edges = ({ kind, parts, ranges }: Term, into: Set<number>): Set<number> => {
    if (kind === 'set') for (let i = 0; i < ranges.length; i += 2) into.add(ranges[i]).add(ranges[i + 1] + 1);
    else if (kind === 'cat' && !parts[0].nullable) edges(parts[0], into);
    else for (const part of parts) edges(part, into);
    return into;
  };

  /** What follows, also what has no end. */
  const follow = (term: Term): readonly Transition[] => {
    let found = followed.get(term);
    if (!found) {
      const starts = [...edges(term, new Set([0]))].filter((at) => at <= LAST).sort((a, b) => a - b);
      const list: Transition[] = [];
      for (const [i, from] of starts.entries()) {
        const next = derivative(term, from);
        const to = (starts[i + 1] ?? LAST + 1) - 1;
        const last = list.at(-1);
        if (last?.term === next && last.to === from - 1) last.to = to;
        else if (next !== algebra.none) list.push({ from, to, term: next });
      }
      found = list;
      followed.set(term, found);
    }
    return found;
  };

  const alive = (term: Term): boolean => {
    const sure = ({ nullable, unsure }: Term) => nullable || !unsure;
    const known = living.get(term);
    if (known !== undefined) return known;
    if (sure(term)) return term !== algebra.none;
    const parents = new Map<Term, Term | undefined>([[term, undefined]]);
    for (const stack = [term]; stack.length > 0; ) {
      const from = stack.pop()!;
      for (const { term: to } of follow(from)) {
        if (parents.has(to) || living.get(to) === false) continue;
        parents.set(to, from);
        if (living.get(to) === true || sure(to)) {
          for (let at: Term | undefined = to; at; at = parents.get(at)) living.set(at, true);
          return true;
        }
        stack.push(to);
      }
    }
    for (const dead of parents.keys()) living.set(dead, false);
    return false;
  };

  const leading = new Map<Term, readonly Transition[]>();
  const transitions = (term: Term): readonly Transition[] => {
    let found = leading.get(term);
    if (!found) {
      found = follow(term).filter(({ term }) => alive(term));
      leading.set(term, found);
    }
    return found;
  };

  return {
    ...algebra,
    alive,
    transitions,
    least: createCheapest(transitions),
    after(term, character) {
      const list = transitions(term);
      let [low, high] = [0, list.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (list[middle].to < character) low = middle + 1;
        else high = middle;
      }
      return list[low]?.from <= character ? list[low].term : undefined;
    },
    free: ({ kind, parts, max }) => (kind === 'repeat' && parts[0] === algebra.any ? max : undefined),
  };
}

/** Terms that are looked at for a cheapest text. */
const MOST_LOOKED_AT = 20_000;

/** Finds cheapest texts: the first end that is reached when terms are looked at by the cost of the way to them. */
function createCheapest(transitions: Terms['transitions']): Terms['least'] {
  const known = new Map<Term, number>();
  return (term, costOf) => {
    const ways = new Map<Term, { cost: number; from: Term | undefined }>([[term, { cost: 0, from: undefined }]]);
    const waiting: Term[][] = [[term]];
    let best: { total: number; at: Term } | undefined;
    for (let cost = 0; cost < waiting.length && !(best && best.total <= cost); cost++) {
      for (const at of waiting[cost] ?? []) {
        if (ways.get(at)!.cost < cost) continue;
        const rest = at.nullable ? 0 : known.get(at);
        if (rest !== undefined) {
          if (!best || cost + rest < best.total) best = { total: cost + rest, at };
          continue;
        }
        for (const { from, to, term: next } of transitions(at)) {
          const total = cost + costOf(from, to);
          if (total >= (ways.get(next)?.cost ?? Number.POSITIVE_INFINITY)) continue;
          ways.set(next, { cost: total, from: at });
          waiting[total] ??= [];
          waiting[total].push(next);
        }
      }
      if (ways.size > MOST_LOOKED_AT) break;
    }
    if (!best) known.set(term, Number.POSITIVE_INFINITY);
    else
      for (let at: Term | undefined = best.at; at; at = ways.get(at)!.from)
        known.set(at, best.total - ways.get(at)!.cost);
    return known.get(term)!;
  };
}

const includes = (ranges: Ranges, character: number): boolean => {
  for (let i = 0; i < ranges.length; i += 2) {
    if (character < ranges[i]) return false;
    if (character <= ranges[i + 1]) return true;
  }
  return false;
};

/** All characters of several sets. */
export function union(...sets: readonly Ranges[]): Ranges {
  const pairs = sets.flatMap((set) => Array.from({ length: set.length / 2 }, (_, i) => [set[2 * i], set[2 * i + 1]]));
  const result: number[] = [];
  for (const [from, to] of pairs.sort((a, b) => a[0] - b[0])) {
    if (result.length > 0 && from <= result[result.length - 1] + 1) {
      result[result.length - 1] = Math.max(result[result.length - 1], to);
    } else result.push(from, to);
  }
  return result;
}

/** All characters that are not in a set. */
export function complement(ranges: Ranges): Ranges {
  const result: number[] = [];
  let from = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    if (ranges[i] > from) result.push(from, ranges[i] - 1);
    from = ranges[i + 1] + 1;
  }
  return from <= LAST ? [...result, from, LAST] : result;
}
