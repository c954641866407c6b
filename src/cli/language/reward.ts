/** heed reward: a reward model from comparisons, also from those of a project. */
import type { Command } from 'commander';
import { reward } from '../../align/reward-model/record.ts';
import { mergeOption, storeOption } from '../people/store.ts';
import { addTraining } from '../run/run-training.ts';
import { learningFromProject, type ProjectFlags } from './from-project.ts';

export function addReward(command: Command): void {
  addTraining(command, reward, {
    around: (training) => learningFromProject(training, () => command.opts<ProjectFlags>()),
  });
  command
    .optionsGroup('Answers of people:')
    .option('--from-project <name>', 'train on the judgments of a heed studio project, in place of --data')
    .addOption(storeOption())
    .addOption(mergeOption());
}
