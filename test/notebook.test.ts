/** The notebook: its cells are typed, run in Node, and run on Deno's Jupyter kernel where that can be had. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { expect, inject, it } from 'vitest';
import { ownFolder } from './support/heed.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);
const folder = ownFolder();

interface Cell {
  cell_type: 'code' | 'markdown';
  id: string;
  source: string[];
  outputs?: { output_type: string; text?: string[] | string; data?: Record<string, string[] | string> }[];
}
const cellsOf = (path: string) => (JSON.parse(readFileSync(path, 'utf8')) as { cells: Cell[] }).cells;
const sources = (cells: Cell[]) =>
  cells.map(({ cell_type, id, source }) => ({ cell_type, id, source: source.join('') }));
const cells = cellsOf(join(root, 'course', 'notebook.ipynb'));

/** What cells show: pictures, and printed text. */
function outputsOf(of: Cell[]): { pictures: string[]; printed: string } {
  const outputs = of.flatMap(({ outputs }) => outputs ?? []);
  return {
    pictures: outputs.flatMap(({ data }) => [data?.['image/svg+xml'] ?? []].flat().join('') || []),
    printed: outputs.flatMap(({ text }) => text ?? []).join(''),
  };
}

/** Looks at what a run showed. Its numbers may differ: those of the last bit do between processors and engines. */
function expectLearned(of: Cell[]): void {
  const { pictures, printed } = outputsOf(of);
  expect(pictures).toHaveLength(8);
  for (const picture of pictures) {
    expect(picture).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg".*<\/svg>$/s);
    expect(picture).not.toMatch(/NaN|undefined|Infinity/);
  }
  expect(printed).toContain('P(first) for returns of 2 and 1.2: 0.690');
  const lengths = [...printed.matchAll(/the pole stays up for (\d+) of 500 steps/g)].map(([, length]) => +length);
  expect(Math.max(...lengths)).toBeGreaterThan(400);
}

it('is what notebook.md says, and its cells run in order in Node', { tags: 'proof' }, async () => {
  const path = join(folder.path, 'notebook.ipynb');
  await run(process.execPath, [join(inject('compiled'), 'course', 'notebook.js'), path]);
  const written = cellsOf(path);
  expect(sources(written), 'run npm run build && node course/notebook.js').toEqual(sources(cells));
  expectLearned(written);
  expectLearned(cells); // what the site shows
});

it('is not written when a cell throws', async () => {
  const course = join(folder.path, 'course');
  mkdirSync(course);
  symlinkSync(join(inject('compiled'), 'dist'), join(folder.path, 'dist'), 'junction');
  for (const name of ['notebook.js', 'deno.json']) cpSync(join(root, 'course', name), join(course, name));
  writeFileSync(join(folder.path, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(course, 'notebook.md'), '# A\n\n```ts\n```\n\n```ts\nthrow new Error("this one");\n```\n');
  await expect(run(process.execPath, [join(course, 'notebook.js')])).rejects.toThrow(
    /Error: this one\s+at .*notebook\.ts:/,
  );
  expect(existsSync(join(course, 'notebook.ipynb'))).toBe(false);
});

it('has no type errors', () => {
  const name = join(root, 'course', 'notebook-cells.ts'); // exists only here
  const code = cells.filter(({ cell_type }) => cell_type === 'code').map(({ source }) => source.join(''));
  const text = `${code.join('\n')}
    declare namespace Deno {
      const jupyter: { display(data: Record<string, string>, options: { raw: true }): Promise<void> };
    }
    declare function prompt(question: string): string | null;`;
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  options.paths = { ...options.paths, 'npm:heed/*': ['./src/*/index.ts'] };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (file) => file === name || fileExists(file);
  host.readFile = (file) => (file === name ? text : readFile(file));
  host.getSourceFile = (file, language, ...rest) =>
    file === name ? ts.createSourceFile(file, text, language) : getSourceFile(file, language, ...rest);
  const program = ts.createProgram([name], options, host);
  const file = program.getSourceFile(name);
  const wrong = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
  expect(ts.formatDiagnostics(wrong, { ...host, getNewLine: () => '\n' })).toBe('');
});

it('runs on the kernel of Deno', async (context) => {
  const [deno, jupyter] = ['deno', 'jupyter'].map((name) =>
    (process.env.PATH ?? '')
      .split(delimiter)
      .map((place) => join(place, name))
      .find(existsSync),
  );
  if (!deno || !jupyter) return context.skip('Deno and Jupyter');
  const kernel = join(folder.path, 'jupyter', 'kernels', 'deno');
  mkdirSync(kernel, { recursive: true });
  const argv = [deno, 'jupyter', '--kernel', '--conn', '{connection_file}'];
  writeFileSync(join(kernel, 'kernel.json'), JSON.stringify({ argv, display_name: 'Deno', language: 'typescript' }));
  const output = ['--output-dir', folder.path, '--output', 'executed.ipynb'];
  const notebook = join(inject('compiled'), 'course', 'notebook.ipynb');
  await run(jupyter, ['nbconvert', '--to', 'notebook', '--execute', ...output, notebook], {
    env: { ...process.env, JUPYTER_PATH: join(folder.path, 'jupyter') },
  });
  expectLearned(cellsOf(join(folder.path, 'executed.ipynb')));
});
