/**
 * TypeScript text to modules, in a page as in Node: sucrase removes the types and turns imports into calls of
 * `require`. It keeps the lines, so that an error names the line of the text.
 */
import { transform } from 'sucrase';
import { HeedError, messageOf } from '../error.ts';

/** A loaded module: its exports by name. */
export type Exports = Record<string, unknown>;

/** What modules are loaded from. */
export interface Sources {
  /** The text of each file by its name, such as `exercise.ts`. Files import each other as `./exercise.ts`. */
  files: Readonly<Record<string, string>>;
  /** All other modules that files may import, by the name that the import has. */
  modules: Readonly<Record<string, Exports>>;
}

/** The text of a file does not compile. */
export class CompileError extends HeedError {
  /** The file's name. */
  readonly file: string;
  /** The line from 1, where it is known. */
  readonly line: number | undefined;

  constructor(message: string, file: string, line?: number) {
    super(message);
    this.file = file;
    this.line = line;
  }
}

/**
 * A function that loads a file by its name, once, along with what it imports.
 * @throws CompileError from that function if the text does not compile; whatever the file itself throws.
 */
export function createLoader({ files, modules }: Sources): (name: string) => Exports {
  const loaded = new Map<string, { exports: Exports }>();
  const load = (name: string): Exports => {
    const known = loaded.get(name);
    if (known) return known.exports;
    const module = { exports: {} as Exports };
    loaded.set(name, module);
    compile(files[name], name)((other: string) => {
      if (Object.hasOwn(modules, other)) return modules[other];
      const path = other.replace(/^\.\//, '');
      if (Object.hasOwn(files, path)) return load(path);
      throw new HeedError(`"${name}" imports "${other}", which does not exist here`);
    }, module.exports);
    return module.exports;
  };
  return (name) => {
    if (!Object.hasOwn(files, name)) throw new HeedError(`there is no file "${name}"`);
    return load(name);
  };
}

/** The line of the first place in a file that an error went through. */
export function lineOf(error: unknown, file: string): number | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const at = stack.match(new RegExp(`(?:^|[\\s(@/])${file.replaceAll('.', '\\.')}:(\\d+)`, 'm'));
  return at ? Number(at[1]) : undefined;
}

/** The names of the modules that files import and that are none of the files. */
export function importedModules(files: Readonly<Record<string, string>>): string[] {
  const names = Object.values(files).flatMap((text) =>
    [...text.matchAll(/^(?:import|export)\s+(?!type\b)(?:[^'"();=]*\sfrom\s*)?['"]([^'"]+)['"]/gm)].map(
      ([, name]) => name,
    ),
  );
  return [...new Set(names)].filter((name) => !name.startsWith('./'));
}

type Evaluate = (require: (name: string) => Exports, exports: Exports) => void;

function compile(text: string, file: string): Evaluate {
  let code: string;
  try {
    ({ code } = transform(text, {
      transforms: ['typescript', 'imports'],
      disableESTransforms: true,
      production: true,
    }));
  } catch (error) {
    const { line } = (error as { loc?: { line: number } }).loc ?? {};
    // "Error transforming undefined: Unexpected token (1:9)"
    const reason = messageOf(error).replace(/^Error transforming \S+: | \(\d+:\d+\)$/g, '');
    throw new CompileError(reason, file, line);
  }
  try {
    return evaluate(`${code}\n})\n//# sourceURL=${file}`) as Evaluate;
  } catch (error) {
    throw new CompileError(messageOf(error), file, faultyLine(code, messageOf(error)));
  }
}

/** Evaluates text globally; its first line is the text's first line, as it is not with `new Function`. */
function evaluate(body: string): unknown {
  // biome-ignore lint/security/noGlobalEval: running what the reader wrote is what a course is for
  const globally = globalThis.eval;
  return globally(`(function (require, exports) {${body}`);
}

/** Engines do not say where a text does not parse: it is the first line with which the error appears. */
function faultyLine(code: string, message: string): number | undefined {
  const lines = code.split('\n');
  for (let count = 1; count <= lines.length; count++) {
    try {
      evaluate(lines.slice(0, count).join('\n'));
    } catch (error) {
      if (messageOf(error) === message) return count;
    }
  }
  return undefined;
}
