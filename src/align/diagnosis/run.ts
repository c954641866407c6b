/** The diagnosis of a language model's run: in its folder, its results and its report. */
import type { HeedError } from '../../error.ts';
import { type Diagnosis, diagnosisOf, storedDiagnosis } from '../../run/diagnosis.ts';
import { type MetricsRow, readInfo, readMetrics, readSamples } from '../../run/run.ts';

/** Diagnoses a training from its metrics, oldest first, and its options. */
export type Diagnose = (rows: readonly MetricsRow[], config: unknown) => Diagnosis;

/**
 * The diagnosis of a run: the one it stored when it ended, or one of the rows so far.
 *
 * @throws HeedError when the folder is not a run.
 */
export function diagnoseRun(folder: string, diagnose: Diagnose): Diagnosis {
  const { config } = readInfo(folder);
  const rows = readMetrics(folder);
  return storedDiagnosis(readSamples(folder), rows.at(-1)?.step ?? 0) ?? diagnose(rows, config);
}

/** The diagnosis of a run that an error stopped, such as a reward of NaN. */
export function diagnoseError(error: HeedError): Diagnosis {
  const advice = error.hint ?? 'Fix what the error names, and resume the run.';
  const code = /^the reward\b/i.test(error.message) ? 'reward-invalid' : 'stopped-by-error';
  return diagnosisOf([{ code, severity: 'failure', text: error.message, advice }], '', {});
}
