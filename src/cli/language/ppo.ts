/** heed ppo: proximal policy optimization against a reward; and options shared by all commands that train a policy. */
import type { Command } from 'commander';
import { extendPolicyRun } from '../../align/policies/extend.ts';
import type { PolicyResult } from '../../align/policies/train.ts';
import { duration, figure } from '../../run/progress.ts';
import '../../serve/agents/register.ts';
import { policyTrainings } from '../../pipeline/trainings/policies.ts';
import { addStudioAddress, studioAddress } from '../people/address.ts';
import { addMore, extending } from '../people/more.ts';
import { addTraining } from '../run/run-training.ts';
import { withAnnotators } from './ask-people.ts';

export const addPpo = (command: Command): void => addPolicyTraining(command, 'ppo');

/** The commands whose runs `PolicyResult` describes. */
export type PolicyCommand = Exclude<keyof typeof policyTrainings, 'best-of-n' | 'overoptimization' | 'pareto'>;

export function addPolicyTraining(command: Command, name: PolicyCommand): void {
  addTraining(command, name, policyTrainings[name], {
    summarize: summarizePolicy,
    shortcuts: { store: 'people.store', project: 'people.project', goal: 'people.goal' },
    beforeResume: extending(command, extendPolicyRun),
    around: (training) => withAnnotators(training, () => studioAddress(command)),
  });
  addMore(command);
  addStudioAddress(command);
}

export const summarizePolicy = ({
  model,
  reward,
  kl,
  measures,
  seconds,
  weights,
}: PolicyResult): [string, string][] => [
  ['reward', `${figure(reward.after)}, from ${figure(reward.before)}`],
  ['KL', `${figure(kl)} nats per completion from the reference`],
  ...Object.entries(measures ?? {}).map(([name, value]): [string, string] => [name, figure(value)]),
  ['time', duration(seconds)],
  ['model', model],
  ...(weights ? [['weights', weights.sampler] as [string, string]] : []),
];
