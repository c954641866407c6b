/** heed envs: the environments that work on this machine. */
import type { Command } from 'commander';
import { listEnvironments } from '../../env/open/list.ts';
import { createOutput } from '../program/output.ts';

const WIDTH = 110;

export function addEnvs(command: Command): void {
  command
    .option('--python <path>', 'Python with Gymnasium (default: HEED_PYTHON, or python3)')
    .action(({ python, ...flags }: { python?: string; json?: boolean }) => {
      const output = createOutput(flags);
      const groups = listEnvironments(python);
      for (const { name, ids, from, missing, install } of groups) {
        output.say(`${name} (${from})${missing ? `: missing ${missing}` : ''}`);
        if (install) output.say(`  to install: ${install}`);
        else for (const line of lines(ids)) output.say(`  ${line}`);
      }
      output.result({ groups });
    });
}

/** Names separated by spaces, as many on a line as fit. */
function lines(names: readonly string[]): string[] {
  const all: string[] = [];
  for (const name of names) {
    const longer = `${all.at(-1) ?? ''}  ${name}`;
    if (all.length > 0 && longer.length <= WIDTH) all[all.length - 1] = longer;
    else all.push(name);
  }
  return all;
}
