/** Runs scripts on the compiled engine in plain Node, for what needs a process of its own. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const src = fileURLToPath(new URL('../../src', import.meta.url));

export interface Child {
  /** Runs a module, to which `engine`, `program` and `library` (the modules) are known; gives what it printed. */
  run(script: string, options?: { flags?: string[]; env?: Record<string, string> }): string;
  remove(): void;
}

/** Compiles the engine into a folder of its own: Node may know no TypeScript. */
export function compileForChild(): Child {
  const folder = mkdtempSync(join(tmpdir(), 'heed-child-'));
  const engine = readdirSync(join(src, 'engine'), { recursive: true, encoding: 'utf8' });
  const modules = ['error.ts', 'files.ts', 'random.ts', ...engine.map((name) => join('engine', name))];
  for (const name of modules.filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))) {
    const { outputText } = ts.transpileModule(readFileSync(join(src, name), 'utf8'), {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
    });
    const path = join(folder, name.replace(/ts$/, 'js'));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, outputText.replaceAll(/'(\.[./\w-]+)\.ts'/g, "'$1.js'"));
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  symlinkSync(join(src, '..', 'node_modules'), join(folder, 'node_modules'), 'junction');
  const at = (name: string) => JSON.stringify(pathToFileURL(join(folder, 'engine', name)).href);
  const imports = ['index', 'program', 'library']
    .map((name) => `import * as ${name === 'index' ? 'engine' : name} from ${at(`${name}.js`)};\n`)
    .join('');
  return {
    run(script, { flags = [], env = {} } = {}) {
      const child = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', imports + script], {
        env: { ...process.env, ...env },
        encoding: 'utf8',
        maxBuffer: 1 << 26,
      });
      if (child.status !== 0) throw new Error(`the child ended with ${child.status ?? child.signal}:\n${child.stderr}`);
      return child.stdout;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
