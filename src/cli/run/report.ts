/** heed report: (re)write a run's report.html. */
import type { Command } from 'commander';
import { HeedError } from '../../error.ts';
import { pipelineReport } from '../../pipeline/report.ts';
import { trainings } from '../../pipeline/trainings.ts';
import { type Report, writeReport } from '../../run/report.ts';
import { readInfo } from '../../run/run.ts';
import { address, createOutput } from '../program/output.ts';

const reports: Record<string, (folder: string) => Report> = {
  ...Object.fromEntries(Object.entries(trainings).map(([command, { report }]) => [command, report])),
  pipeline: pipelineReport,
};

export function addReport(command: Command): void {
  command.argument('<run>', 'folder of the run').action((folder: string, flags: { json?: boolean }) => {
    const output = createOutput(flags);
    const { command: made } = readInfo(folder);
    if (!Object.hasOwn(reports, made)) {
      throw new HeedError(
        `"${folder}" was made by "${made}", which has no report: expected ${Object.keys(reports).join(' or ')}`,
      );
    }
    const report = writeReport({ folder }, reports[made](folder));
    output.say(address(report));
    output.result({ run: folder, report });
  });
}
