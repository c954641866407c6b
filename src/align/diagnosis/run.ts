/** The diagnosis of a language model's run: in its folder, its results and its report. */
import { HeedError } from '../../error.ts';
import { type Diagnosis, diagnosisOf, storedDiagnosis } from '../../run/diagnosis.ts';
import { type MetricsRow, readInfo, readMetrics, readSamples } from '../../run/run.ts';
import { diagnosePolicy, type PolicyFacts } from './policy.ts';
import { diagnosePreference } from './preference.ts';
import { diagnoseProcess } from './process.ts';
import { diagnoseReward } from './reward.ts';
import { diagnoseSupervised } from './supervised.ts';

/** The parts of a policy's options that its diagnosis reads. */
interface PolicyConfig {
  maxKl?: number;
  beta?: number;
  kl?: { beta?: number; target?: number; controller?: string };
}

/** What a diagnosis knows from the options of a policy's training. */
export const policyFacts = ({ maxKl, beta, kl }: PolicyConfig): PolicyFacts => ({
  maxKl,
  beta: kl?.beta ?? beta,
  ...(kl && kl.controller !== 'fixed' && { target: kl.target }),
});

type Diagnose = (rows: readonly MetricsRow[], config: unknown) => Diagnosis;
const ofPolicy: Diagnose = (rows, config) => diagnosePolicy(rows, policyFacts(config as PolicyConfig));

/** The findings of every policy of a Pareto front; they are trained one after another. */
const ofFront: Diagnose = (rows, config) => {
  const weights = [...new Set(rows.filter((row) => 'weight' in row).map(({ weight }) => weight))];
  const each = weights.map((weight) => {
    const { findings, summary } = ofPolicy(
      rows.filter((row) => row.weight === weight),
      config,
    );
    const of = (text: string) => `With weight ${weight}: ${text}`;
    return { findings: findings.map((finding) => ({ ...finding, text: of(finding.text) })), summary: of(summary) };
  });
  const nothing = 'There is nothing to diagnose yet: the run has no step.';
  return diagnosisOf(
    each.flatMap(({ findings }) => findings),
    each.at(-1)?.summary ?? nothing,
    { policies: weights.length },
  );
};

/** The diagnosis by command. */
const diagnoses: Readonly<Record<string, Diagnose>> = {
  ...Object.fromEntries(
    ['ppo', 'grpo', 'reinforce', 'rloo', 'raft', 'rest', 'online-dpo'].map((command) => [command, ofPolicy]),
  ),
  ...Object.fromEntries(['dpo', 'orpo', 'cpo', 'kto', 'bco'].map((command) => [command, diagnosePreference])),
  pareto: ofFront,
  reward: diagnoseReward,
  process: diagnoseProcess,
  sft: diagnoseSupervised,
  distill: diagnoseSupervised,
  pretrain: diagnoseSupervised,
};

/** Whether there is a diagnosis of the runs of a command, such as "ppo". */
export const isDiagnosed = (command: string): boolean => Object.hasOwn(diagnoses, command);

/**
 * The diagnosis of a language model's run: the one it stored when it ended, or one of the rows so far.
 *
 * @throws HeedError when the folder is not a run, or not one of a language model that learns.
 */
export function diagnoseLanguageRun(folder: string): Diagnosis {
  const { command, config } = readInfo(folder);
  if (!isDiagnosed(command)) {
    throw new HeedError(`"${folder}" is a run of "heed ${command}", which has no diagnosis of a language model.`, {
      hint: `Give a run of heed ${Object.keys(diagnoses).join(', ')}.`,
    });
  }
  const rows = readMetrics(folder);
  return storedDiagnosis(readSamples(folder), rows.at(-1)?.step ?? 0) ?? diagnoses[command](rows, config);
}

/** The diagnosis of a run that an error stopped, such as a reward of NaN. */
export function diagnoseError(error: HeedError): Diagnosis {
  const advice = error.hint ?? 'Fix what the error names, and resume the run.';
  const code = /^the reward\b/i.test(error.message) ? 'reward-invalid' : 'stopped-by-error';
  return diagnosisOf([{ code, severity: 'failure', text: error.message, advice }], '', {});
}
