/** The commands that train a policy: people can compare its completions while it trains. */
import type { Command } from 'commander';
import { extendPolicyRun } from '../../align/policies/extend.ts';
import '../../serve/agents/register.ts';
import type { TrainingRecord } from '../../run/training-record.ts';
import { addStudioAddress, studioAddress } from '../people/address.ts';
import { addMore, extending } from '../people/more.ts';
import { addTraining } from '../run/run-training.ts';
import { withAnnotators } from './ask-people.ts';

export function addPolicyTraining(command: Command, record: TrainingRecord): void {
  addTraining(command, record, {
    shortcuts: { store: 'people.store', project: 'people.project', goal: 'people.goal' },
    beforeResume: extending(command, extendPolicyRun),
    around: (training) => withAnnotators(training, () => studioAddress(command)),
  });
  addMore(command);
  addStudioAddress(command);
}
