/**
 * What a page needs besides the other entry points: the engine on WebAssembly, and files in memory. `heed/engine`,
 * `heed/nn`, `heed/env`, `heed/preference`, `heed/rl`, `heed/control`, `heed/lm` and `heed/align` then run in the page.
 * What needs Python, threads of Node or a disk throws a HeedError there.
 */
export { fetchFiles, modelFiles, putFiles } from './files.ts';
export { type StartOptions, startEngine } from './start.ts';
