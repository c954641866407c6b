/** Where a command's words go: its result to stdout, everything else to stderr. With --json, one JSON object is all of stdout. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface Output {
  json: boolean;
  /** For a person, on stdout; on stderr with --json. */
  say(text: string): void;
  /** The command's result. NaN becomes null. */
  result(value: object): void;
}

export function createOutput({ json = false }: { json?: boolean }): Output {
  return {
    json,
    say: (text) => (json ? process.stderr : process.stdout).write(`${text}\n`),
    result: (value) => {
      if (json) process.stdout.write(`${JSON.stringify(value)}\n`);
    },
  };
}

/** Two columns. */
export const table = (rows: readonly (readonly [name: string, value: string])[]): string => {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n');
};

export const address = (path: string): string => pathToFileURL(resolve(path)).href;
