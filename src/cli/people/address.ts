/** Where a studio listens. */
import type { Command } from 'commander';
import { UsageError } from '../program/usage.ts';

/** Where the studio of a training listens. */
export interface StudioAddress {
  port: number;
  host?: string;
  hosts?: string[];
}

export function portOf(text: string): number {
  const port = Number(text);
  if (text.trim() === '' || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`--port: expected a whole number from 0 to 65535, got "${text}"`);
  }
  return port;
}

/** Adds the flags that say where the studio of a training listens. */
export const addStudioAddress = (command: Command): Command =>
  command
    .option('--port <n>', 'port of the studio where people judge; 0: any free port', portOf, 0)
    .option('--host <address>', 'address that this studio listens on', '127.0.0.1')
    .option('--hosts <names>', 'host names that browsers open this studio by, comma-separated');

/** Where the studio of a training listens. */
export function studioAddress(command: Command): StudioAddress {
  const { port, host, hosts } = command.opts<{ port: number; host: string; hosts?: string }>();
  return { port, host, hosts: hostsOf(hosts) };
}

/** The names in `--hosts`. */
export const hostsOf = (text: string | undefined): string[] | undefined =>
  text?.split(',').map((name) => name.trim().toLowerCase());
