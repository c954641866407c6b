/** Runs programs of examples/ and of pages as a user would: on a Node that heed supports, in a folder of their own. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject } from 'vitest';
import { examples, type Program, withoutTypes } from './programs.ts';
import { nodeInTurn, runtime } from './runtimes.ts';

/**
 * Runs a program, and gives what it prints. Its turn chooses the Node, or this one where that is not installed. The program
 * is unchanged, but for its types on a Node that knows none. It has to end by itself.
 */
export async function runProgram(program: Program, turn: number, args: readonly string[] = []): Promise<string> {
  const name = nodeInTurn(turn);
  const node = runtime(name) ?? process.execPath;
  const own = process.features as object as { typescript?: unknown }; // the types are those of Node 20
  const readsTypes = node === process.execPath ? own.typescript === 'strip' : name !== 'node-20';
  // inside the package its own name leads to its exports
  const inExamples = program.place.startsWith('examples/');
  const stem = inExamples ? basename(program.place, `.${program.language}`) : program.place.replaceAll(/\W+/g, '-');
  const path = join(inject('compiled'), 'examples', `${stem}.${readsTypes ? program.language : 'js'}`);
  writeFileSync(path, readsTypes ? program.code : withoutTypes(program));
  const cwd = mkdtempSync(join(tmpdir(), 'heed-program-'));
  const env = { ...process.env, HEED_THREADS: '1' };
  try {
    return (await promisify(execFile)(node, [path, ...args], { cwd, env })).stdout;
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

interface ExampleOptions {
  /** Lines that the program may have. */
  lines?: number;
  /** Its arguments. */
  args?: string[];
}

/** Runs a program of examples/, such as preferences.ts, and gives what it prints. The list of all says whose turn it is. */
export async function runExample(file: string, { lines = 28, args = [] }: ExampleOptions = {}): Promise<string> {
  const turn = examples.findIndex(({ place }) => place === `examples/${file}`);
  const example = examples[turn];
  expect(example.code.trimEnd().split('\n').length, 'lines').toBeLessThanOrEqual(lines);
  return runProgram(example, turn, args);
}

/** The numbers that a pattern's group finds in what was printed. */
export const numbers = (text: string, pattern: RegExp): number[] =>
  [...text.matchAll(pattern)].map(([, value]) => Number(value));
