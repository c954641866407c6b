/** heed eval: evaluates an agent, a reward model or a language model. */
import { basename } from 'node:path';
import type { Command } from 'commander';
import { policyEvaluation } from '../../align/evaluation/record.ts';
import { formatAccuracy } from '../../align/reward-model/record.ts';
import { type JudgmentRow, judgeReward, rewardJudgmentSchema } from '../../align/rewards/judge-reward.ts';
import { evaluationReport } from '../../align/rewards/report.ts';
import { percent } from '../../percent.ts';
import { writeReport } from '../../run/report.ts';
import { createRun } from '../../run/run.ts';
import { pullProgress } from '../models/pull.ts';
import { addFlags, settingsFrom } from '../program/flags.ts';
import { address, createOutput, table } from '../program/output.ts';
import { checking } from '../program/usage.ts';
import { addTraining } from '../run/run-training.ts';
import { addEvalControl } from './eval-control.ts';

export function addEval(command: Command): void {
  const reward = command
    .command('reward')
    .description('accuracy and calibration of a reward model on held-out comparisons');
  addFlags(reward, rewardJudgmentSchema);
  reward
    .option('--out <dir>', 'folder of the report (default: runs/<time>-<name>)')
    .action(() => evaluatingReward(reward));
  addEvalControl(command.command('control').description('return of an agent, and accuracy of the reward it learned'));
  addTraining(command.command('policy').description("compare a model's completions with another's"), policyEvaluation);
}

async function evaluatingReward(command: Command): Promise<void> {
  const flags = command.opts<{ out?: string; json?: boolean }>();
  const output = createOutput(flags);
  const input = settingsFrom(command, rewardJudgmentSchema);
  const settings = checking(() => rewardJudgmentSchema.parse(input), input);
  const { done, ...pull } = pullProgress('pull');
  const onNotice = (text: string) => void process.stderr.write(`${text}\n`);
  const judgment = await judgeReward({ ...settings, pull, onNotice }).finally(done);
  const { evaluation, drift, disagreement } = judgment;
  const name = `${basename(settings.model)}-eval`;
  const run = createRun(flags.out, { name, command: 'eval reward', config: settings, seed: 0 });
  try {
    run.sample({ kind: 'judgment', judgment } satisfies JudgmentRow);
    const report = writeReport(run, evaluationReport(run.folder));
    const { accuracy, interval, n, ece, longerWins, longerChosen, bySource, verdict } = evaluation;
    output.say(
      table([
        ['accuracy', `${formatAccuracy(evaluation, 'pairs')}: ${verdict}`],
        ['calibration', `probabilities are off by ${percent(ece)} on average`],
        ['longer', `preferred in ${percent(longerWins)}, chosen in ${percent(longerChosen)}`],
        ...(disagreement === undefined ? [] : [['disagreement', disagreement.toFixed(2)] as [string, string]]),
        ...(drift ? [['drift', `${drift.shift.toFixed(1)} deviations`] as [string, string]] : []),
        ['report', address(report)],
      ]),
    );

    output.result({ accuracy, interval, n, ece, longerWins, bySource });
  } finally {
    run.close();
  }
}
