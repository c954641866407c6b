/** The records of all algorithms of language models, by name. A program that needs one imports its room's: it loads less. */
import { HeedError } from '../error.ts';
import type { Diagnosis } from '../run/diagnosis.ts';
import { readInfo } from '../run/run.ts';
import { byName } from '../run/training-record.ts';
import { bestOfN, raft, rest } from './best-of-n/train.ts';
import { constitution } from './constitution/record.ts';
import { distill } from './distillation/record.ts';
import { policyEvaluation } from './evaluation/record.ts';
import { overoptimization } from './overoptimization/record.ts';
import * as policyGradient from './policy-gradient/records.ts';
import { ppo } from './ppo/record.ts';
import * as preferences from './preferences/records.ts';
import { processSupervision } from './process/record.ts';
import { reward } from './reward-model/record.ts';
import { rewardEvaluation } from './rewards/record.ts';
import { pretrain, sft } from './supervised/records.ts';

export const languageRecords = byName([
  ...[sft, distill, pretrain, reward, processSupervision, rewardEvaluation, ppo],
  ...Object.values(policyGradient),
  ...[bestOfN, raft, rest],
  ...Object.values(preferences),
  ...[overoptimization, constitution, policyEvaluation],
]);

/**
 * The diagnosis of a language model's run: the one it stored when it ended, or one of the rows so far.
 *
 * @throws HeedError when the folder is not a run, or not one of a language model that learns.
 */
export function diagnoseLanguageRun(folder: string): Diagnosis {
  const { command } = readInfo(folder);
  const diagnose = Object.hasOwn(languageRecords, command) ? languageRecords[command].diagnose : undefined;
  if (diagnose) return diagnose(folder);
  const able = Object.keys(languageRecords).filter((name) => languageRecords[name].diagnose);
  throw new HeedError(`"${folder}" is a run of "heed ${command}", which has no diagnosis of a language model.`, {
    hint: `Give a run of heed ${able.join(', ')}.`,
  });
}
