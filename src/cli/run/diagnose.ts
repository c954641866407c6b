/** heed diagnose: what went wrong in a run, and what to do about it. */
import type { Command } from 'commander';
import { HeedError } from '../../error.ts';
import { trainings } from '../../pipeline/trainings.ts';
import { readInfo } from '../../run/run.ts';
import { createOutput } from '../program/output.ts';
import { sayFindings } from './findings.ts';

export function addDiagnose(command: Command): void {
  command.argument('<run>', 'folder of the run').action((folder: string, flags: { json?: boolean }) => {
    const output = createOutput(flags);
    const { command: made } = readInfo(folder);
    const diagnose = Object.hasOwn(trainings, made) ? trainings[made].diagnose : undefined;
    if (!diagnose) {
      const able = Object.keys(trainings).filter((name) => trainings[name].diagnose);
      throw new HeedError(`"${folder}" was made by "${made}", which has no diagnosis`, {
        hint: `these have one: ${able.join(', ')}`,
      });
    }
    const { healthy, summary, findings, measures } = diagnose(folder);
    if (healthy) output.say(summary);
    sayFindings(output, { findings });
    output.result({ run: folder, healthy, summary, findings, measures });
  });
}
