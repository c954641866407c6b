/** Reads the tags of an XML document: as much of XML as labeling configurations use. */
import { HeedError } from '../../error.ts';

/** A tag with its attributes and the tags in it. Text between tags is left out. */
export interface Tag {
  name: string;
  attributes: Readonly<Record<string, string>>;
  children: Tag[];
}

const TOKEN =
  /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<[?!][^>]*>|<(\/?)([A-Za-z][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>|</g;
const ATTRIBUTE = /([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** No configuration is this deep. */
const DEEPEST = 200;

const unescaped = (text: string): string =>
  text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    if (name !== undefined) return NAMED[name] ?? whole;
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });

/** A text as it stands in an attribute. */
export const escapedXml = (text: string): string =>
  text.replace(/[&<>"\n]/g, (mark) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[mark] ?? '&#10;');

/** The outermost tag of a document. @throws HeedError with the line if tags are not closed, or one is malformed. */
export function readXml(text: string, file: string): Tag {
  const root: Tag = { name: '', attributes: {}, children: [] };
  const open = [root];
  const fail = (at: number, what: string) => {
    const line = text.slice(0, at).split('\n').length;
    return new HeedError(`"${file}", line ${line}: ${what}.`, { hint: 'Copy the whole labeling configuration.' });
  };
  for (const match of text.matchAll(TOKEN)) {
    const [whole, closes, name, attributes = '', empty] = match;
    if (whole === '<') throw fail(match.index, 'a tag is malformed');
    if (name === undefined) continue;
    if (closes === '/') {
      const last = open.pop()!;
      if (last.name !== name || open.length === 0) {
        throw fail(match.index, `expected ${last.name ? `</${last.name}>` : 'the end'}, got </${name}>`);
      }
      continue;
    }
    const tag: Tag = {
      name,
      attributes: Object.fromEntries(
        Array.from(attributes.matchAll(ATTRIBUTE), ([, key, double, single]) => [key, unescaped(double ?? single)]),
      ),
      children: [],
    };
    open.at(-1)!.children.push(tag);
    if (empty === '/') continue;
    if (open.length > DEEPEST) throw fail(match.index, `tags are nested more than ${DEEPEST} deep`);
    open.push(tag);
  }
  if (open.length > 1) throw fail(text.length, `<${open.at(-1)!.name}> is not closed`);
  if (root.children.length === 0) throw fail(0, 'expected a labeling configuration, got no tags');
  return root.children[0];
}
