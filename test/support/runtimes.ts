/**
 * The Nodes, Deno and Bun that `npm run runtimes` installs. heed supports every Node from 20.19 on: what needs a syntax or
 * a module that one of them lacks fails there.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The oldest Node that heed supports, the oldest that runs TypeScript as it is, and a current one. */
export const NODES = ['node-20', 'node-22', 'node-24'] as const;
export type NodeName = (typeof NODES)[number];
export type RuntimeName = NodeName | 'deno' | 'bun';

const insideOf = (name: RuntimeName) => (name === 'deno' ? 'deno' : `bin/${name.split('-')[0]}`);

/** Path of a runtime's program, or nothing where it is not installed. */
export function runtime(name: RuntimeName): string | undefined {
  const installed = `../../scripts/runtimes/node_modules/${name}-${process.platform}-${process.arch}/`;
  const path = fileURLToPath(new URL(installed + insideOf(name), import.meta.url));
  return existsSync(path) ? path : undefined;
}

/** Why a test without its runtime is skipped. */
export const notInstalled = (name: RuntimeName): string =>
  `${name} is not installed: run "npm run runtimes", which has it for Linux on x64 and arm64`;

/** The Node that runs program `i` of a list: the programs take turns, as each on each Node would take three times as long. */
export const nodeInTurn = (i: number): NodeName => NODES[i % NODES.length];
