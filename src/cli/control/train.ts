/** heed train: learn from preferences. */
import type { Command } from 'commander';
import { extendRun } from '../../control/extend.ts';
import type { LearnRunResult } from '../../control/train.ts';
import { percent } from '../../percent.ts';
import { controlTrainings } from '../../pipeline/trainings/control.ts';
import { duration } from '../../run/progress.ts';
import { addStudioAddress, studioAddress } from '../people/address.ts';
import { addMore, extending } from '../people/more.ts';
import { addTraining } from '../run/run-training.ts';
import { showDefaultsByEnvironment } from './defaults.ts';
import { withPeople } from './human.ts';
import { returned, untrainedReturn } from './rl.ts';

const shortcuts = {
  ensemble: 'reward.members',
  query: 'query.rule',
  store: 'people.store',
  project: 'people.project',
  goal: 'people.goal',
};

export function addTrain(command: Command): void {
  addTraining(command, 'train', controlTrainings.train, {
    shortcuts,
    summarize,
    checkedLate: true,
    beforeResume: extending(command, extendRun),
    around: (training) => withPeople(training, () => studioAddress(command)),
  });
  showDefaultsByEnvironment(command, controlTrainings.train, shortcuts);
  addMore(command);
  addStudioAddress(command);
}

const summarize = ({
  run,
  return: evaluated,
  labels,
  steps,
  foreseen,
  heldOutAccuracy,
  correlation,
  seconds,
}: LearnRunResult): [string, string][] => [
  ['return', `${returned(evaluated)}${untrainedReturn(run)}`],
  ['labels', `${labels}`],
  ['steps', steps.toLocaleString('en-US')],
  heldOutAccuracy === undefined
    ? ['choices foreseen', `${percent(foreseen, 0)} of the teacher’s, before they were learned`]
    : ['held-out accuracy', `${percent(heldOutAccuracy)} of random pairs of clips in the right order`],
  [
    'reward',
    `follows the true one with Pearson ${three(correlation.pearson)}, Spearman ${three(correlation.spearman)}`,
  ],
  ['time', duration(seconds)],
];

const three = (value: number) => (Number.isFinite(value) ? value.toFixed(3) : 'none (true returns are all equal)');
