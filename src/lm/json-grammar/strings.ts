/** JSON strings: how the characters of a text are written, in UTF-8 and with escapes. */
import { automaton, type Rule } from './rules.ts';
import { LAST, type Term, type Terms } from './terms.ts';

/** Inside of a string: what is left of it, and what of a character was written. */
interface StringState {
  term: Term;
  /** In UTF-8 or `\u`: the characters that may become of it. */
  low: number;
  high: number;
  /** What comes next. */
  part: 'open' | 'inside' | 'escape' | 'bytes' | 'hex' | 'closed';
  /** Bytes or digits that are missing. */
  left: number;
}

/** Bytes that characters take in a JSON string: [from, to, bytes]. */
const COSTS = [
  [0x20, 0x21, 1],
  [0x23, 0x5b, 1],
  [0x5d, 0x7f, 1],
  [0x22, 0x22, 2],
  [0x5c, 0x5c, 2],
  [0x08, 0x0a, 2],
  [0x0c, 0x0d, 2],
  [0x80, 0x7ff, 2],
  [0x800, 0xd7ff, 3],
  [0xe000, 0xffff, 3],
  [0x10000, LAST, 4],
  [0, 0x1f, 6],
];
/** Bytes that the shortest of a range of characters takes in a JSON string. */
const costOf = (low: number, high: number): number =>
  COSTS.find(([from, to]) => from <= high && to >= low)?.[2] ?? Number.POSITIVE_INFINITY;

const ESCAPES: Readonly<Record<string, number>> = { '"': 34, '\\': 92, '/': 47, b: 8, f: 12, n: 10, r: 13, t: 9 };
const SURROGATES = [0xd800, 0xdfff];

/** A JSON string whose text is of a term. Escapes are allowed for characters of up to 16 bits. */
export function stringOf(terms: Terms, term: Term): Rule {
  const inside = (term: Term): StringState => ({ term, low: 0, high: 0, part: 'inside', left: 0 });
  const follow = (term: Term, character: number): StringState | undefined => {
    const next = terms.after(term, character);
    return next && inside(next);
  };
  const possible = (term: Term, low: number, high: number): boolean =>
    low <= high && terms.transitions(term).some(({ from, to }) => from <= high && to >= low);
  const hasHex = (term: Term) => possible(term, 0, SURROGATES[0] - 1) || possible(term, SURROGATES[1] + 1, 0xffff);
  const hasEscape = (term: Term) =>
    hasHex(term) || Object.values(ESCAPES).some((character) => possible(term, character, character));
  /** A character of which a part is known: goes on if it can become one that may follow. */
  const narrow = (state: StringState, low: number, high: number, left: number): StringState | undefined => {
    if (left === 0) return follow(state.term, low);
    return possible(state.term, low, high) ? { ...state, low, high, left } : undefined;
  };
  const lead = (state: StringState, byte: number): StringState | undefined => {
    const left = 1 + Number(byte >= 0xe0) + Number(byte >= 0xf0);
    if (byte < 0xc2 || byte > 0xf4) return undefined;
    const size = 64 ** left;
    const low = (byte & (0x3f >> left)) * size;
    const least = [0, 0x80, 0x800, 0x10000][left];
    return narrow({ ...state, part: 'bytes' }, Math.max(low, least), Math.min(low + size - 1, 0x10ffff), left);
  };
  const tail = (state: StringState, byte: number): StringState | undefined => {
    if (byte < 0x80 || byte > 0xbf) return undefined;
    const left = state.left - 1;
    const size = 64 ** left;
    const base = state.low - (state.low % (size * 64));
    const from = base + (byte & 0x3f) * size;
    const [low, high] = [Math.max(from, state.low), Math.min(from + size - 1, state.high)];
    if (low > high || (low >= SURROGATES[0] && high <= SURROGATES[1])) return undefined;
    return narrow(state, low, high, left);
  };
  const digit = (state: StringState, byte: number): StringState | undefined => {
    const value = Number.parseInt(String.fromCharCode(byte), 16);
    if (Number.isNaN(value)) return undefined;
    const left = state.left - 1;
    const low = state.low + value * 16 ** left;
    const high = low + 16 ** left - 1;
    const [first, last] = SURROGATES;
    return low >= first && high <= last ? undefined : narrow(state, low, high, left);
  };
  /** Bytes of what may follow one of some characters, with the quote. */
  const behind = (term: Term, low: number, high: number): number =>
    terms
      .transitions(term)
      .filter(({ from, to }) => from <= high && to >= low)
      .reduce((least, next) => Math.min(least, 1 + terms.least(next.term, costOf)), Number.POSITIVE_INFINITY);
  const least = ({ term, part, low, high, left }: StringState): number => {
    switch (part) {
      case 'open':
        return 2 + terms.least(term, costOf);
      case 'inside':
        return 1 + terms.least(term, costOf);
      case 'closed':
        return 0;
      case 'escape':
        return Math.min(
          ...Object.values(ESCAPES).map((point) => 1 + behind(term, point, point)),
          5 + behind(term, 0, 0xffff),
        );
      default:
        return left + behind(term, low, high);
    }
  };
  return automaton<StringState>({
    start: { ...inside(term), part: 'open' },
    least,
    key: ({ term, low, high, part, left }) => `${part}|${term.id}|${left}|${low}|${high}`,
    ends: ({ part }) => part === 'closed',
    free: ({ part, term }) => (part === 'inside' ? terms.free(term) : undefined),
    after(state, byte) {
      const { term, part } = state;
      const letter = String.fromCharCode(byte);
      switch (part) {
        case 'open':
          return letter === '"' ? inside(term) : undefined;
        case 'closed':
          return undefined;
        case 'inside':
          if (letter === '"') return term.nullable ? { ...inside(terms.empty), part: 'closed' } : undefined;
          if (letter === '\\') return hasEscape(term) ? { ...state, part: 'escape' } : undefined;
          if (byte < 0x20) return undefined;
          return byte < 0x80 ? follow(term, byte) : lead(state, byte);
        case 'escape':
          if (letter === 'u')
            return hasHex(term) ? { ...state, part: 'hex', low: 0, high: 0xffff, left: 4 } : undefined;
          return Object.hasOwn(ESCAPES, letter) ? follow(term, ESCAPES[letter]) : undefined;
        case 'bytes':
          return tail(state, byte);
        case 'hex':
          return digit(state, byte);
      }
    },
  });
}
