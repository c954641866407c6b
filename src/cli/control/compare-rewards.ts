/** heed compare-rewards: how alike two learned rewards are. */
import type { Command } from 'commander';
import { comparedFigure, compareRewards, compareRewardsSchema, constantReward } from '../../control/compare-rewards.ts';
import { writeFileAtomic } from '../../files.ts';
import { renderReport } from '../../run/report.ts';
import { addFlags, settingsFrom } from '../program/flags.ts';
import { address, createOutput, table } from '../program/output.ts';
import { checking } from '../program/usage.ts';

export function addCompareRewards(command: Command): void {
  command
    .argument('<a>', 'folder of a run of heed train, or of a reward')
    .argument('<b>', 'another one')
    .option('--out <file>', 'where to write the page with the clips on which they disagree', 'rewards.html');
  addFlags(command, compareRewardsSchema);
  command.action((a: string, b: string) => comparing([a, b], command));
}

async function comparing(rewards: [string, string], command: Command): Promise<void> {
  const { out, json } = command.opts<{ out: string; json?: boolean }>();
  const output = createOutput({ json });
  const settings = settingsFrom(command, compareRewardsSchema);
  checking(() => compareRewardsSchema.parse(settings), settings);
  const { comparison, page } = await compareRewards({ ...settings, rewards });
  writeFileAtomic(out, renderReport(page));
  const { epic, pearson, spearman, windows } = comparison;
  const constant = constantReward(comparison);
  output.say(
    table([
      ['EPIC distance', `${comparedFigure(epic)} (0: the same best policies; 0.71: unrelated; 1: opposite)`],
      [
        'correlation',
        `${comparedFigure(pearson)} of single steps (ranks: ${comparedFigure(spearman)}), ${comparedFigure(windows)} of windows`,
      ],
      ...(constant ? [['notice', constant] as [string, string]] : []),
      ['page', address(out)],
    ]),
  );
  output.result({ ...comparison, page: out });
}
