/** Reads JavaScript's regular expressions as terms: the texts in which the expression finds something. */
import { HeedError } from '../../error.ts';
import { complement, LAST, type Ranges, type Term, type Terms, union } from './terms.ts';

/** Thrown for what is no regular language, or is not read: the caller checks the text afterwards. */
export class PatternLimit extends Error {}

type Tree =
  | { kind: 'set'; ranges: Ranges }
  | { kind: 'cat' | 'alt'; parts: Tree[] }
  | { kind: 'repeat'; part: Tree; min: number; max: number }
  | { kind: 'look'; part: Tree; positive: boolean }
  | { kind: 'start' | 'end' };

const DIGIT: Ranges = [0x30, 0x39];
const WORD: Ranges = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];
const SPACE: Ranges = [
  9, 13, 32, 32, 160, 160, 0x1680, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000,
  0x3000, 0xfeff, 0xfeff,
];
const LINES: Ranges = [10, 10, 13, 13, 0x2028, 0x2029];
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, v: 11, f: 12, 0: 0 };
const CLASSES: Readonly<Record<string, Ranges>> = {
  d: DIGIT,
  w: WORD,
  s: SPACE,
  D: complement(DIGIT),
  W: complement(WORD),
  S: complement(SPACE),
};
/** Characters of the longest mark: a class by name, a count, or the name of a group. */
const LONGEST_MARK = 200;
/** Copies of a part with assertions that a repetition may be written out as. */
const MOST_COPIES = 64;

/**
 * The texts in which a regular expression finds something.
 *
 * @throws HeedError if it is no regular expression.
 * @throws PatternLimit if it looks behind, refers back, or has word boundaries.
 */
export function termOfPattern(terms: Terms, pattern: string): Term {
  let flags = 'u';
  try {
    new RegExp(pattern, 'u');
  } catch {
    flags = '';
    try {
      new RegExp(pattern);
    } catch (error) {
      throw new HeedError(`"${pattern.slice(0, 80)}" is not a valid regular expression: ${(error as Error).message}`);
    }
  }
  const tree = parse(pattern, flags);
  const { alt, cat, all, none } = terms;
  const here = compile(terms, tree, all, true);
  const later = hasStart(tree) ? compile(terms, tree, all, false) : here;
  return alt(here, later === none ? none : cat(terms.set([0, LAST]), all, later));
}

const hasStart = (tree: Tree): boolean =>
  tree.kind === 'start' || ('parts' in tree && tree.parts.some(hasStart)) || ('part' in tree && hasStart(tree.part));

const isWidthless = (tree: Tree): boolean =>
  tree.kind === 'start' ||
  tree.kind === 'end' ||
  tree.kind === 'look' ||
  ('parts' in tree && tree.parts.every(isWidthless));

const asserts = (tree: Tree): boolean =>
  tree.kind === 'start' ||
  tree.kind === 'end' ||
  tree.kind === 'look' ||
  ('parts' in tree && tree.parts.some(asserts)) ||
  ('part' in tree && asserts(tree.part));

/** The texts that begin with a match and go on with `rest`. `first`: nothing comes before. */
function compile(terms: Terms, tree: Tree, rest: Term, first: boolean): Term {
  switch (tree.kind) {
    case 'set':
      return terms.cat(terms.set(tree.ranges), rest);
    case 'start':
      return first ? rest : terms.none;
    case 'end':
      return rest.nullable ? terms.empty : terms.none;
    case 'look': {
      const ahead = compile(terms, tree.part, terms.all, first);
      return terms.and(rest, tree.positive ? ahead : terms.not(ahead));
    }
    case 'alt':
      return terms.alt(...tree.parts.map((part) => compile(terms, part, rest, first)));
    case 'cat': {
      const before = tree.parts.findIndex((part) => !isWidthless(part));
      return tree.parts.reduceRight((rest, part, i) => {
        const isFirst = first && (before < 0 || i <= before);
        if (first && !isFirst && hasStart(part)) throw new PatternLimit('^ after other characters');
        return compile(terms, part, rest, isFirst);
      }, rest);
    }
    case 'repeat': {
      const { part, min, max } = tree;
      if (!asserts(part)) return terms.cat(terms.repeat(compile(terms, part, terms.empty, false), min, max), rest);
      if (max === Number.POSITIVE_INFINITY || max > MOST_COPIES)
        throw new PatternLimit('an assertion that is repeated');
      let all = rest;
      for (let i = max; i > 0; i--) {
        const once = compile(terms, part, all, first && i === 1);
        all = i > min ? terms.alt(rest, once) : once;
      }
      return all;
    }
  }
}

/** Reads an expression that `RegExp` accepts. */
function parse(pattern: string, flags: string): Tree {
  const text = flags === 'u' ? [...pattern] : pattern.split('');
  let at = 0;
  const take = (word: string): boolean => {
    if (text.slice(at, at + word.length).join('') !== word) return false;
    at += word.length;
    return true;
  };
  const read = (expression: RegExp): string | undefined => {
    const [found] = expression.exec(text.slice(at, at + LONGEST_MARK).join('')) ?? [];
    if (found !== undefined) at += [...found].length;
    return found;
  };

  /** A code point, or a class, after a backslash. */
  const escaped = (inClass: boolean): Ranges => {
    const letter = text[at++];
    if (Object.hasOwn(CLASSES, letter)) return CLASSES[letter];
    if ((letter === 'p' || letter === 'P') && text[at] === '{') {
      const name = read(/^\{[^}]*\}/)!;
      return charactersOf(`\\${letter}${name}`);
    }
    if (inClass && letter === 'b') return [8, 8];
    if (letter === 'b' || letter === 'B') throw new PatternLimit('a word boundary');
    if (letter === 'k' || /[1-9]/.test(letter)) throw new PatternLimit('a reference back');
    let point = CONTROLS[letter] ?? letter.codePointAt(0)!;
    if (letter === 'x') point = Number.parseInt(read(/^[\da-f]{2}/i) ?? '78', 16);
    if (letter === 'c') point = text[at++].charCodeAt(0) % 32;
    if (letter === 'u') {
      const hex = read(/^(\{[\da-f]+\}|[\da-f]{4})/i) ?? '75';
      point = Number.parseInt(hex.replace(/[{}]/g, ''), 16);
      const low = point >= 0xd800 && point < 0xdc00 ? read(/^\\u[dD][c-fC-F][\da-fA-F]{2}/) : undefined;
      if (low) point = 0x10000 + ((point - 0xd800) << 10) + (Number.parseInt(low.slice(2), 16) - 0xdc00);
    }
    return [point, point];
  };
  const classOf = (): Ranges => {
    const negative = take('^');
    const sets: Ranges[] = [];
    const one = (): Ranges => {
      if (take('\\')) return escaped(true);
      const point = text[at++].codePointAt(0)!;
      return [point, point];
    };
    while (!take(']')) {
      const from = one();
      if (text[at] === '-' && text[at + 1] !== ']') {
        at++;
        const to = one();
        if (from.length === 2 && from[0] === from[1] && to.length === 2) sets.push([from[0], to[1]]);
        else sets.push(from, [0x2d, 0x2d], to);
      } else sets.push(from);
    }
    return negative ? complement(union(...sets)) : union(...sets);
  };
  const atom = (): Tree => {
    if (take('^')) return { kind: 'start' };
    if (take('$')) return { kind: 'end' };
    if (take('.')) return { kind: 'set', ranges: complement(LINES) };
    if (take('[')) return { kind: 'set', ranges: classOf() };
    if (take('\\')) return { kind: 'set', ranges: escaped(false) };
    if (take('(')) {
      if (take('?<=') || take('?<!')) throw new PatternLimit('a look behind');
      const ahead = take('?=');
      const look = ahead || take('?!');
      if (!look && !take('?:') && text[at] === '?' && !read(/^\?<[^>]*>/)) {
        throw new PatternLimit('modifiers');
      }
      const part = alternatives();
      take(')');
      return look ? { kind: 'look', part, positive: ahead } : part;
    }
    const point = text[at++].codePointAt(0)!;
    return { kind: 'set', ranges: [point, point] };
  };
  const repeated = (): Tree => {
    const part = atom();
    const mark = read(/^([*+?]|\{\d+(,\d*)?\})\??/);
    if (mark === undefined) return part;
    const [, min, comma, max] = /^\{(\d+)(,?)(\d*)\}/.exec(mark) ?? [];
    const infinite = Number.POSITIVE_INFINITY;
    if (min !== undefined) {
      const most = comma === '' ? min : max || infinite;
      return { kind: 'repeat', part, min: Number(min), max: Number(most) };
    }
    return { kind: 'repeat', part, min: mark[0] === '+' ? 1 : 0, max: mark[0] === '?' ? 1 : infinite };
  };
  const alternatives = (): Tree => {
    const all: Tree[] = [];
    do {
      const parts: Tree[] = [];
      while (at < text.length && text[at] !== '|' && text[at] !== ')') parts.push(repeated());
      all.push({ kind: 'cat', parts });
    } while (take('|'));
    return all.length === 1 ? all[0] : { kind: 'alt', parts: all };
  };
  return alternatives();
}

const classes = new Map<string, Ranges>();

/** The characters of a Unicode property. */
function charactersOf(property: string): Ranges {
  let ranges = classes.get(property);
  if (!ranges) {
    const matches = new RegExp(`^${property}$`, 'u');
    const found: number[] = [];
    for (let point = 0; point <= LAST; point++) {
      if (point >= 0xd800 && point <= 0xdfff) continue;
      if (!matches.test(String.fromCodePoint(point))) continue;
      if (found.length > 0 && found[found.length - 1] === point - 1) found[found.length - 1] = point;
      else found.push(point, point);
    }
    ranges = found;
    classes.set(property, ranges);
  }
  return ranges;
}
