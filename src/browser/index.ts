/**
 * heed in a page: agents that learn from preferences or rewards, on ONNX Runtime's WebAssembly. Bundlers find the same
 * code by the other entry points too (`heed/engine`, `heed/nn`, `heed/env`, `heed/preference`, `heed/rl`,
 * `heed/control`); what needs files, Python or threads of Node throws a HeedError in a page.
 */
export * from '../control/index.ts';
export * from '../engine/index.ts';
export * from '../env/index.ts';
export * from '../nn/index.ts';
export * from '../preference/index.ts';
export * from '../rl/index.ts';
export { type StartOptions, startEngine } from './start.ts';
