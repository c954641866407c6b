/** heed doctor: checks the setup and says what to do about problems. */
import type { Command } from 'commander';
import { createOutput } from '../program/output.ts';
import { checkSetup, type DoctorCheck } from './checks.ts';

export function addDoctor(command: Command): void {
  command.action((flags: { json?: boolean }) => {
    const output = createOutput(flags);
    const checks: DoctorCheck[] = [];
    for (const check of checkSetup(process.cwd())) {
      checks.push(check);
      output.say(
        `${(check.state === 'absent' ? '–' : check.state).padEnd(4)}  ${check.name.padEnd(7)}  ${check.found}`,
      );
      if (check.advice) output.say(`               ${check.advice}`);
    }
    const ok = checks.every(({ state }) => state !== 'fail');
    output.result({ ok, checks });
    if (!ok) process.exitCode = 1;
  });
}
