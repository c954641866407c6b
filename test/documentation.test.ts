/** Everything that heed exports says what it is: functions, types, their fields, and every option. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const root = fileURLToPath(new URL('..', import.meta.url));
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string | { types: string }>;
};
/** The source of each entry point, such as src/align/index.ts; the root only names them. */
const entries = Object.entries(exports).flatMap(([name, target]) =>
  typeof target === 'string' || name === '.'
    ? []
    : [target.types.replace(/^\.\/dist\//, 'src/').replace(/\.d\.ts$/, '.ts')],
);

const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
const program = ts.createProgram(
  entries.map((entry) => join(root, entry)),
  ts.convertCompilerOptionsFromJson(config.compilerOptions, root).options,
);
const checker = program.getTypeChecker();

const documented = (symbol: ts.Symbol): boolean => symbol.getDocumentationComment(checker).length > 0;

/** Where a declaration stands, for the list of what lacks a description. */
function place(node: ts.Node, name: string): string {
  const file = node.getSourceFile();
  const { line } = file.getLineAndCharacterOfPosition(node.getStart());
  return `${file.fileName.replace(root, '')}:${line + 1} ${name}`;
}

/** Names of an exported symbol, and of the fields that its declaration lists, that say nothing of themselves. */
function undocumented(exported: ts.Symbol): string[] {
  const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
  const declaration = symbol.declarations?.[0];
  if (!declaration?.getSourceFile().fileName.startsWith(join(root, 'src'))) return [];
  // a namespace, such as initialize: its file says at the top what it is
  if (ts.isSourceFile(declaration) && declaration.text.startsWith('/**')) return [];
  const own = documented(symbol) ? [] : [place(declaration, exported.name)];
  return [...own, ...membersOf(declaration).flatMap((member) => undocumentedMember(member, exported.name))];
}

/** Fields of an interface, of a type literal, or of a class. */
function membersOf(declaration: ts.Declaration): readonly (ts.TypeElement | ts.ClassElement)[] {
  if (ts.isInterfaceDeclaration(declaration)) return declaration.members;
  if (ts.isTypeAliasDeclaration(declaration) && ts.isTypeLiteralNode(declaration.type)) return declaration.type.members;
  if (!ts.isClassDeclaration(declaration)) return [];
  const hidden = (member: ts.ClassElement) =>
    ts.isConstructorDeclaration(member) ||
    (member.name && ts.isPrivateIdentifier(member.name)) ||
    (ts.getCombinedModifierFlags(member) & (ts.ModifierFlags.Private | ts.ModifierFlags.Override)) !== 0;
  return declaration.members.filter((member) => !hidden(member));
}

function undocumentedMember(member: ts.TypeElement | ts.ClassElement, of: string): string[] {
  // what a name in brackets means is said where the symbol is
  if (!member.name || ts.isComputedPropertyName(member.name)) return [];
  const symbol = checker.getSymbolAtLocation(member.name);
  return symbol && !documented(symbol) ? [place(member, `${of}.${member.name.getText()}`)] : [];
}

interface JsonSchema {
  description?: string;
  properties?: Record<string, JsonSchema>;
}

/** Options of a schema, such as kl.target, that say nothing of themselves. Those with options of their own need not. */
function silentOptions(schema: JsonSchema, within: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, option]) => {
    const path = `${within}.${name}`;
    if (option.properties) return silentOptions(option, path);
    return option.description ? [] : [path];
  });
}

describe.each(entries)('%s', (entry) => {
  it('documents all that it exports, and all of its options', async () => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(join(root, entry))!)!;
    const silent = checker.getExportsOfModule(module).flatMap(undocumented);
    const exported: Record<string, unknown> = await import(join(root, entry));
    const options = Object.entries(exported).flatMap(([name, value]) =>
      value instanceof z.ZodObject
        ? silentOptions(z.toJSONSchema(value, { io: 'input', unrepresentable: 'any' }) as JsonSchema, name)
        : [],
    );
    expect([...new Set([...silent, ...options])].join('\n')).toBe('');
  });
});
