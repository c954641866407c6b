/**
 * Writes what each option means where its type is. Zod keeps the text of `.describe()` out of types, so an editor would
 * show none of it: in the compiled declarations, every `z.input<typeof schema>` and `z.output<typeof schema>` becomes
 * the type written out, with the description and the default of each option as its doc comment.
 *
 * Run it: node scripts/document-options.js [DIST]
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { z } from 'zod';

const dist = resolve(process.argv[2] ?? new URL('../dist', import.meta.url).pathname);
const files = readdirSync(dist, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.d.ts') && !name.startsWith('studio'))
  .map((name) => join(dist, name));

const program = ts.createProgram(files, {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  strict: true,
  skipLibCheck: true,
  types: ['node'],
});
const checker = program.getTypeChecker();
const flags = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseSingleQuotesForStringLiteralType;

/** The schema's name and the side of it that a type reads; undefined of any other type. */
function schemaRead(node) {
  if (!ts.isTypeReferenceNode(node) || !ts.isQualifiedName(node.typeName)) return undefined;
  const side = node.typeName.right.text;
  const [of] = node.typeArguments ?? [];
  if (node.typeName.left.getText() !== 'z' || !['input', 'output', 'infer'].includes(side)) return undefined;
  return of && ts.isTypeQueryNode(of) && ts.isIdentifier(of.exprName)
    ? { schema: schemaOf(of.exprName), side: side === 'input' ? 'input' : 'output' }
    : undefined;
}

/** The module that declares a schema, which may be another than the one that names it, and its name there. */
function schemaOf(node) {
  const named = checker.getSymbolAtLocation(node);
  const symbol = named.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(named) : named;
  return { name: symbol.name, file: symbol.declarations[0].getSourceFile().fileName };
}

const asText = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

/** A doc comment: the description as a sentence, and the default. */
function comment({ description, default: value }, indent) {
  if (!description) return '';
  const capital = /^[a-z]+\b(?!_)/.test(description) ? description[0].toUpperCase() : description[0];
  const sentence = `${capital}${description.slice(1)}`.replace(/\.?$/, '.');
  const plain = value !== undefined && (typeof value !== 'object' || Array.isArray(value));
  const text = `${sentence}${plain ? ` Default: ${asText(value)}.` : ''}`.replaceAll('*/', '*\\/');
  return `${indent}/** ${text} */\n`;
}

/** An object type written out, its options documented. */
function literal(type, json, at, indent = '') {
  const inner = `${indent}    `;
  const fields = checker.getPropertiesOfType(type).map((property) => {
    const option = json?.properties?.[property.name] ?? {};
    const optional = (property.flags & ts.SymbolFlags.Optional) !== 0;
    const whole = checker.getTypeOfSymbol(property);
    const own = optional ? checker.getNonNullableType(whole) : whole;
    const name = ts.isIdentifierStart(property.name.codePointAt(0)) ? property.name : JSON.stringify(property.name);
    const text = option.properties ? literal(own, option, at, inner) : checker.typeToString(own, at, flags);
    return `${comment(option, inner)}${inner}${name}${optional ? '?' : ''}: ${text}${optional ? ' | undefined' : ''};`;
  });
  return fields.length === 0 ? '{}' : `{\n${fields.join('\n')}\n${indent}}`;
}

/** The compiler names a type of another module by an absolute path, which is nowhere once the package is installed. */
const withRelativeImports = (text, file) =>
  text.replace(/import\("([^"]+)"\)/g, (whole, path) => {
    if (!path.startsWith(dist)) return whole;
    const to = relative(dirname(file), path).replaceAll('\\', '/');
    return `import("${to.startsWith('.') ? to : `./${to}`}.js")`;
  });

let options = 0;
for (const file of files) {
  const source = program.getSourceFile(file);
  const found = [];
  const visit = (node) => {
    const read = schemaRead(node);
    if (read) found.push({ node, ...read });
    else ts.forEachChild(node, visit);
  };
  ts.forEachChild(source, visit);
  if (found.length === 0) continue;
  let text = readFileSync(file, 'utf8');
  for (const { node, schema: from, side } of found.reverse()) {
    const module = await import(pathToFileURL(from.file.replace(/\.d\.ts$/, '.js')).href);
    const schema = module[from.name];
    const type = checker.getTypeFromTypeNode(node);
    if (!(schema instanceof z.ZodType) || type.isUnion()) continue;
    const json = z.toJSONSchema(schema, { io: side, unrepresentable: 'any' });
    if (!json.properties) continue;
    const written = literal(type, json, node);
    options += written.split('/** ').length - 1;
    text = text.slice(0, node.getStart()) + withRelativeImports(written, file) + text.slice(node.getEnd());
  }
  writeFileSync(file, text);
}
process.stdout.write(`documented ${options} options in ${dist}\n`);
