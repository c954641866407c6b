/**
 * Writes notebook.ipynb from notebook.md: its blocks of TypeScript become cells, and so does the text between them. The
 * cells are run here, in Node, and what they show is kept in the notebook. After npm run build:
 * node course/notebook.js [FILE]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createLoader, importedModules } from '../dist/course/load.js';

const at = (name) => fileURLToPath(new URL(name, import.meta.url));
const { imports } = JSON.parse(readFileSync(at('deno.json'), 'utf8'));

/** The cells of a Markdown text, in order. */
function cellsOf(markdown) {
  const parts = markdown.split(/^```ts\n(.*?)^```$/ms); // text, code, text, code, …
  return parts.map((part, i) => ({ code: i % 2 === 1, source: part.trim() })).filter(({ source }) => source !== '');
}

/** Runs TypeScript cells one after another, and gives what each shows. Only the first may import. */
async function run(cells) {
  const outputs = cells.map(() => []);
  let cell = 0;
  const Deno = {
    jupyter: {
      display: async (data) => outputs[cell].push({ output_type: 'display_data', data: lines(data), metadata: {} }),
    },
  };
  const console = {
    log: (...values) => outputs[cell].push({ output_type: 'stream', name: 'stdout', text: [`${values.join(' ')}\n`] }),
  };
  const enter = (index) => {
    cell = index;
  };
  // one function, for cells share their variables and may wait
  const [first, ...others] = cells.map((source, i) => (i === 0 ? source : `enter(${i});\n${source}`));
  const text = `${first}\nexport async function run({ Deno, console, enter }: any) {\n${others.join('\n')}\n}\n`;
  const modules = {};
  for (const name of importedModules({ text })) modules[name] = await import(new URL(imports[name], import.meta.url));
  await createLoader({ files: { 'notebook.ts': text }, modules })('notebook.ts').run({ Deno, console, enter });
  return outputs.map(joined);
}

/** Data by its type, as lines, which are easier to read in a diff. */
const lines = (data) => Object.fromEntries(Object.entries(data).map(([type, text]) => [type, text.split(/(?<=\n)/)]));

/** Outputs with neighboring prints as one. */
function joined(outputs) {
  const all = [];
  for (const output of outputs) {
    if (output.name && all.at(-1)?.name) all.at(-1).text.push(...output.text);
    else all.push(output);
  }
  return all;
}

const cells = cellsOf(readFileSync(at('notebook.md'), 'utf8'));
const outputs = await run(cells.filter(({ code }) => code).map(({ source }) => source));
const notebook = {
  cells: cells.map(({ code, source }, i) => ({
    cell_type: code ? 'code' : 'markdown',
    id: `cell-${i + 1}`,
    metadata: {},
    source: source.split(/(?<=\n)/),
    ...(code && { execution_count: null, outputs: outputs.shift() }),
  })),
  metadata: {
    kernelspec: { display_name: 'Deno', language: 'typescript', name: 'deno' },
    language_info: { file_extension: '.ts', mimetype: 'text/x.typescript', name: 'typescript' },
  },
  nbformat: 4,
  nbformat_minor: 5,
};
writeFileSync(process.argv[2] ?? at('notebook.ipynb'), `${JSON.stringify(notebook, undefined, 1)}\n`);
