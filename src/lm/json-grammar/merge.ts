/** Puts JSON schemas together that hold at once: `allOf`, what stands beside `$ref`, and what stands beside `anyOf`. */

/** A JSON schema that is an object. */
export type Schema = Record<string, unknown>;

/** Keywords that say nothing of what is valid. */
const SILENT = new Set(
  '$schema $id $comment $defs $anchor $vocabulary definitions title description default examples example deprecated readOnly writeOnly strict id discriminator contentEncoding contentMediaType contentSchema'.split(
    ' ',
  ),
);

/** The keywords of a schema that restrict what is valid. */
export const restrictions = (schema: Schema): Schema =>
  Object.fromEntries(Object.entries(schema).filter(([keyword]) => !SILENT.has(keyword)));

const LARGEST = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties', 'minContains'];
const LEAST = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties', 'maxContains'];

const listOf = (value: unknown): unknown[] => (value === undefined ? [] : [value].flat());
const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null;
const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** One schema that holds where both hold. What cannot be said in one is kept in its `allOf`. */
export function mergeSchemas(first: unknown, second: unknown): unknown {
  if (first === false || second === false) return false;
  if (first === true) return second;
  if (second === true) return first;
  const [a, b] = [restrictions(first as Schema), restrictions(second as Schema)];
  const merged: Schema = { ...a };
  const left: Schema = {};
  for (const [keyword, value] of Object.entries(b)) {
    if (!(keyword in a) || same(a[keyword], value)) merged[keyword] = value;
    else if (LARGEST.includes(keyword)) merged[keyword] = Math.max(Number(a[keyword]), Number(value));
    else if (LEAST.includes(keyword)) merged[keyword] = Math.min(Number(a[keyword]), Number(value));
    else if (keyword === 'required') merged.required = [...new Set([...listOf(a.required), ...listOf(value)])];
    else if (keyword === 'type') merged.type = commonTypes(listOf(a.type), listOf(value));
    else if (keyword === 'enum')
      merged.enum = listOf(a.enum).filter((one) => listOf(value).some((two) => same(one, two)));
    else if (keyword === 'pattern') merged.pattern = [...listOf(a.pattern), ...listOf(value)];
    else if (keyword === 'uniqueItems') merged.uniqueItems = true;
    else if (keyword === 'items' && isSchema(a.items) && isSchema(value)) merged.items = mergeSchemas(a.items, value);
    else if (keyword !== 'properties' && keyword !== 'additionalProperties') left[keyword] = value;
  }
  mergeProperties(merged, a, b);
  return Object.keys(left).length === 0 ? merged : { ...merged, allOf: [...listOf(merged.allOf), left] };
}

function commonTypes(a: unknown[], b: unknown[]): unknown[] {
  const both = a.filter((type) => b.includes(type) || (type === 'integer' && b.includes('number')));
  return [...both, ...b.filter((type) => type === 'integer' && a.includes('number') && !both.includes(type))];
}

/** A property that one of the schemas does not name has to fit what it says of others. */
function mergeProperties(merged: Schema, a: Schema, b: Schema): void {
  const [others, more] = [a.additionalProperties ?? true, b.additionalProperties ?? true];
  if (a.properties || b.properties) {
    const [ours, theirs] = [(a.properties ?? {}) as Schema, (b.properties ?? {}) as Schema];
    const names = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
    const propertyOf = (properties: Schema, name: string, rest: unknown) =>
      Object.hasOwn(properties, name) ? properties[name] : rest;
    merged.properties = Object.fromEntries(
      [...names].map((name) => [
        name,
        { allOf: [propertyOf(ours, name, others), propertyOf(theirs, name, more)].filter((one) => one !== true) },
      ]),
    );
  }
  if ('additionalProperties' in a || 'additionalProperties' in b) {
    merged.additionalProperties = others === false || more === false ? false : mergeSchemas(others, more);
  }
}
