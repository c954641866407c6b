/** heed train: learn from preferences. */
import type { Command } from 'commander';
import { extendRun } from '../../control/extend.ts';
import { train } from '../../control/training-record.ts';
import { addStudioAddress, studioAddress } from '../people/address.ts';
import { addMore, extending } from '../people/more.ts';
import { addTraining } from '../run/run-training.ts';
import { showDefaultsByEnvironment } from './defaults.ts';
import { withPeople } from './human.ts';

const shortcuts = {
  ensemble: 'reward.members',
  query: 'query.rule',
  store: 'people.store',
  project: 'people.project',
  goal: 'people.goal',
};

export function addTrain(command: Command): void {
  addTraining(command, train, {
    shortcuts,
    beforeResume: extending(command, extendRun),
    around: (training) => withPeople(training, () => studioAddress(command)),
  });
  showDefaultsByEnvironment(command, train, shortcuts);
  addMore(command);
  addStudioAddress(command);
}
