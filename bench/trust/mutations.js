/**
 * Mutations of valid inputs: of bytes, of JSON by its structure, and of text by fragments of its language. fast-check
 * draws the steps, so that a seed and a number give the same input again.
 */
import fc from 'fast-check';

const unit = () => fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

const NUMBERS = [
  ...[0, -0, -1, 1, 0.5, 255, 256, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 1e9],
  ...[2 ** 53 - 1, 2 ** 53, -(2 ** 53), 2 ** 63, 1e21, 1e100, 1e308, -1e308, 5e-324],
];
const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'length', 'then', '', ' ', '0'];
const TEXTS = [
  ...NAMES,
  ...['\0', '\ud800', '\ufeff', '\u202e', '\ufdd0', 'NaN', '-1', '../../../etc/passwd', '/dev/zero', 'é'.repeat(500)],
  ...['a'.repeat(5000), '%s%n', "'; drop table items; --", '{{ 7 * 7 }}', '(a+)+$', '[', '\\', '\n'],
];

/** Values that a field seldom has. */
const odd = fc.oneof(
  fc.constantFrom(...NUMBERS),
  fc.constantFrom(...TEXTS),
  fc.constantFrom(null, true, false, [], {}, [[]], [null], { length: 1e9 }),
  fc.jsonValue({ maxDepth: 2 }),
  fc.string({ unit: 'binary' }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const step = fc.record({ op: fc.nat(), at: unit(), to: unit(), more: unit(), odd });
const plan = fc.record({ seed: unit(), other: unit(), steps: fc.array(step, { minLength: 1, maxLength: 5 }) });

/** Plans that are drawn at once. */
const BLOCK = 64;
let block = { key: '', plans: [] };

/** The input with this number of a kind, from its valid ones. */
export function input({ seeds, mutate }, seed, number) {
  const key = `${seed} ${Math.floor(number / BLOCK)}`;
  if (block.key !== key) {
    const drawn = { seed: (seed * 1_000_003 + Math.floor(number / BLOCK)) | 0, numRuns: BLOCK };
    block = { key, plans: fc.sample(plan, drawn) };
  }
  const { seed: first, other, steps } = block.plans[number % BLOCK];
  return mutate(pick(seeds, first), steps, pick(seeds, other));
}

const pick = (list, share) => list[Math.floor(share * list.length)];

/** A place in `length`, whose ends are likelier than its middle: headers and footers are there. */
function place(length, share) {
  if (share < 0.3) return Math.floor((share / 0.3) ** 2 * Math.min(length, 256));
  if (share > 0.7) return Math.max(0, length - 1 - Math.floor(((share - 0.7) / 0.3) ** 2 * Math.min(length, 512)));
  return Math.floor(((share - 0.3) / 0.4) * length);
}

const BAD_UTF8 = [[0xc3, 0x28], [0xff], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xc0, 0x80], [0xe2, 0x82]];

/** Changes bytes: a bit, a byte, a number, a part that is missing, repeated or foreign. */
export function bytes(input, steps, other = input) {
  let data = Buffer.from(input);
  for (const { op, at, to, more, odd } of steps) {
    const start = place(data.length, at);
    const length = Math.max(1, Math.floor(to ** 4 * (data.length - start)));
    const cut = (inserted, removed = 0) =>
      Buffer.concat([data.subarray(0, start), inserted, data.subarray(start + removed)]);
    const number = typeof odd === 'number' && Number.isFinite(odd) ? odd : NUMBERS[Math.floor(more * NUMBERS.length)];
    switch (op % 12) {
      case 0:
        if (data.length > 0) data[start] ^= 1 << Math.floor(more * 8);
        break;
      case 1:
        if (data.length > 0) data[start] = Math.floor(more * 256);
        break;
      case 2:
        data = data.subarray(0, start);
        break;
      case 3:
        data = cut(Buffer.alloc(0), length);
        break;
      case 4:
        data = cut(data.subarray(start, start + length));
        break;
      case 5:
        data = cut(Buffer.from(BAD_UTF8[Math.floor(more * BAD_UTF8.length)]));
        break;
      case 6:
        if (start + 8 <= data.length) data.writeBigUInt64LE(BigInt.asUintN(64, BigInt(Math.trunc(number))), start);
        break;
      case 7:
        if (start + 4 <= data.length) data.writeUInt32LE(Math.trunc(number) >>> 0, start);
        break;
      case 8:
        data = cut(other.subarray(place(other.length, more)).subarray(0, length));
        break;
      case 9:
        data = cut(Buffer.from(typeof odd === 'string' ? odd : JSON.stringify(odd)));
        break;
      case 10:
        data = cut(Buffer.alloc(Math.floor(more ** 3 * 10_000), Math.floor(to * 256)));
        break;
      default:
        if (start + 2 <= data.length) data.writeUInt16BE(Math.trunc(number) & 0xffff, start);
    }
  }
  return data;
}

/** The place of a deep value in written JSON, which no parser of JSON could give back. */
const DEEP = '"\u2603deep"';

/** Changes JSON by its structure: values, names, lists, depth; now and then its bytes too. */
export function json(input, steps, other = input) {
  const text = Buffer.from(jsonText(JSON.parse(input.toString()), steps, JSON.parse(other.toString())));
  const { op, more } = steps[0];
  return op % 8 === 7 ? bytes(text, steps.slice(0, 1 + Math.floor(more * 2))) : text;
}

/** The text of a JSON value after changes; some of it only text can have, such as a name twice. */
export function jsonText(value, steps, other = value) {
  const root = { value };
  const again = [];
  for (const { op, at, to, more, odd: drawn } of steps) {
    const odd = structuredClone(drawn); // later steps may change it
    const { holder, key } = descend(root, at);
    const here = holder[key];
    switch (op % 13) {
      case 0:
      case 1:
        put(holder, key, odd);
        break;
      case 2:
        if (Array.isArray(holder)) holder.splice(key, 1);
        else if (holder !== root) delete holder[key];
        break;
      case 3:
        if (!Array.isArray(holder) && holder !== root) {
          delete holder[key];
          put(holder, NAMES[Math.floor(more * NAMES.length)], here);
        }
        break;
      case 4:
        if (typeof here === 'number') holder[key] = [here + 1, here - 1, -here, here * 2, here / 2, `${here}`][op % 6];
        else put(holder, key, NUMBERS[Math.floor(more * NUMBERS.length)]);
        break;
      case 5:
        put(holder, key, '\u2603deep');
        break;
      case 6: {
        const from = descend({ value: other }, to);
        put(holder, key, structuredClone(from.holder[from.key]));
        break;
      }
      case 7:
        if (Array.isArray(here) && here.length > 0 && here.length < 2000)
          holder[key] = Array.from({ length: 1 + Math.floor(more * 3000) }, (_, i) => here[i % here.length]);
        else put(holder, key, [here]);
        break;
      case 8:
        if (typeof here === 'string') {
          const middle = Math.floor(to * here.length);
          holder[key] = `${here.slice(0, middle)}${TEXTS[Math.floor(more * TEXTS.length)]}${here.slice(middle)}`;
        } else put(holder, key, TEXTS[Math.floor(more * TEXTS.length)]);
        break;
      case 9:
        if (typeof here === 'object' && here !== null && !Array.isArray(here))
          put(here, NAMES[Math.floor(more * NAMES.length)], odd);
        break;
      case 10:
        if (!Array.isArray(holder)) again.push(`${JSON.stringify(key)}:${JSON.stringify(odd)},`);
        break;
      case 11:
        put(holder, key, { [NAMES[Math.floor(more * NAMES.length)]]: here });
        break;
      default: {
        const elsewhere = descend(root, to);
        put(holder, key, structuredClone(elsewhere.holder[elsewhere.key]));
      }
    }
  }
  let text = JSON.stringify(root.value) ?? 'null';
  if (text.includes(DEEP)) {
    const depth = 10 ** (1 + Math.floor(steps[0].more * 5));
    const [left, right] = steps[0].op % 2 ? ['[', ']'] : ['{"a":', '}'];
    text = text.replace(DEEP, `${left.repeat(depth)}1${right.repeat(depth)}`);
  }
  for (const pair of again) text = text.replace('{', `{${pair.replaceAll('$', '$$$$')}`);
  return text;
}

/** Sets a field of its own, whatever its name. */
const put = (holder, key, value) =>
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });

/** A value's holder and key: from the root down, as far as the digits of `share` go. */
function descend(root, share) {
  let [holder, key] = [root, 'value'];
  for (let rest = share; ; ) {
    const here = holder[key];
    if (typeof here !== 'object' || here === null) return { holder, key };
    const keys = Object.keys(here);
    rest *= 1.2;
    if (keys.length === 0 || rest >= 1) return { holder, key };
    rest = (rest * 7919.13) % 1;
    [holder, key] = [here, keys[Math.floor(rest * keys.length)]];
    rest = (rest * 104729.71) % 1;
  }
}

/** Changes a text by fragments of its language, and now and then its bytes. */
export const text =
  (...fragments) =>
  (input, steps, other = input) => {
    let changed = input.toString();
    const foreign = other.toString();
    for (const { op, at, to, more, odd } of steps) {
      const start = Math.floor(at * (changed.length + 1));
      const end = start + Math.floor(to ** 3 * (changed.length - start));
      const fragment = fragments[Math.floor(more * fragments.length)];
      const inserted = {
        0: fragment,
        1: fragment.repeat(1 + Math.floor(to ** 4 * 2000)),
        2: '',
        3: changed.slice(start, end).repeat(2),
        4: foreign.slice(Math.floor(more * foreign.length)).slice(0, end - start),
        5: typeof odd === 'string' ? odd : JSON.stringify(odd),
        6: String(NUMBERS[Math.floor(more * NUMBERS.length)]),
        7: `${fragment}${fragments[Math.floor(to * fragments.length)]}`,
      }[op % 8];
      changed = changed.slice(0, start) + inserted + changed.slice(op % 8 === 0 || op % 8 === 7 ? start : end);
    }
    const data = Buffer.from(changed);
    return steps[0].op % 8 === 5 ? bytes(data, steps.slice(0, 1)) : data;
  };
