/** --more of the commands that people teach: a finished run continues with more labels. */
import type { Command } from 'commander';
import { UsageError } from '../program/usage.ts';

/** Adds the flag. */
export const addMore = (command: Command): Command =>
  command.option('--more <n>', 'with --resume: continue a finished run with this many more labels', moreOf);

/** Extends a run that is about to be resumed, if the flag is set. */
export const extending = (command: Command, extend: (folder: string, more: number) => void) => (folder: string) => {
  const { more } = command.opts<{ more?: number }>();
  if (more !== undefined) extend(folder, more);
};

function moreOf(text: string): number {
  const more = Number(text);
  if (Number.isInteger(more) && more > 0) return more;
  throw new UsageError(`--more: expected a whole number of at least 1, got "${text}"`);
}
