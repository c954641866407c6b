/** heed report: (re)write a run's report.html. */
import type { Command } from 'commander';
import {
  bestOfNReport,
  constitutionReport,
  evaluationReport,
  languageReport,
  offlinePreferenceReport,
  policyEvaluationReport,
  policyReport,
  processReport,
  rewardReport,
} from '../align/index.ts';
import { preferenceReport } from '../control/report.ts';
import { HeedError } from '../error.ts';
import { pipelineReport } from '../pipeline/index.ts';
import { ppoReport } from '../rl/report.ts';
import { type Report, readInfo, writeReport } from '../run/index.ts';
import { address, createOutput } from './output.ts';

const reports: Record<string, (folder: string) => Report> = {
  train: preferenceReport,
  rl: ppoReport,
  sft: languageReport,
  pretrain: languageReport,
  dpo: offlinePreferenceReport,
  orpo: offlinePreferenceReport,
  cpo: offlinePreferenceReport,
  kto: offlinePreferenceReport,
  bco: offlinePreferenceReport,
  ppo: policyReport,
  reinforce: policyReport,
  rloo: policyReport,
  grpo: policyReport,
  raft: policyReport,
  rest: policyReport,
  'online-dpo': policyReport,
  'best-of-n': bestOfNReport,
  constitution: constitutionReport,
  reward: rewardReport,
  process: processReport,
  'eval reward': evaluationReport,
  'eval policy': policyEvaluationReport,
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
