import type { Diagnosis } from '../../run/diagnosis.ts';
import type { Output } from '../program/output.ts';

/** Prints what a diagnosis found: ✗ for a failure, ! for a warning. Nothing if it found nothing. */
export function sayFindings(output: Output, { findings }: Pick<Diagnosis, 'findings'>): void {
  for (const { severity, text, advice } of findings) {
    output.say(`${severity === 'failure' ? '✗' : '!'} ${text}`);
    output.say(`  ${advice}`);
  }
}
