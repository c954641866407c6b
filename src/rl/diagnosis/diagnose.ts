/**
 * Diagnosis of control: whether an agent learned what it was taught, and if not, why. From the rows of metrics alone.
 *
 * From the command line: heed diagnose RUN
 */
import { z } from 'zod';
import { percent } from '../../percent.ts';
import { type Diagnosis, diagnosisOf, storedDiagnosis } from '../../run/diagnosis.ts';
import { type MetricsRow, readInfo, readMetrics, readSamples } from '../../run/run.ts';
import {
  type ControlFacts,
  type ControlMeasures,
  type ControlRow,
  measureControl,
  type WorldSample,
} from './measures.ts';
import { rules, stages } from './rules.ts';

/** Diagnoses a training of control by its rows so far. */
export function diagnoseControl(rows: readonly ControlRow[], facts: ControlFacts): Diagnosis {
  const measures = measureControl(rows, facts);
  const applying = rules
    .filter(({ from, applies }) => measures.progress >= from && applies(measures, facts))
    .map(({ severity, ...rule }) => ({
      ...rule,
      severity: typeof severity === 'function' ? severity(measures, facts) : severity,
    }));
  const cause = stages.find((one) => applying.some(({ stage, severity }) => stage === one && severity === 'failure'));
  const findings = applying
    .filter(({ stage }) => cause === undefined || stages.indexOf(stage) <= stages.indexOf(cause))
    .map(({ code, severity, text, advice }) => ({
      code,
      severity,
      text: text(measures, facts),
      advice: typeof advice === 'function' ? advice(facts) : advice,
    }));
  const finite = Object.entries(measures).filter(([, value]) => Number.isFinite(value));
  return diagnosisOf(findings, healthy(measures), Object.fromEntries(finite));
}

/**
 * The diagnosis of a run of `heed train` or `heed rl` in its folder: the one it stored at its end, or one of the rows
 * so far.
 *
 * @throws HeedError if the folder is not such a run.
 */
export function diagnoseControlRun(
  folder: string,
  rows: readonly MetricsRow[] = readMetrics(folder),
  samples: ReturnType<typeof readSamples> = readSamples(folder),
): Diagnosis {
  const stored = storedDiagnosis(samples, rows.at(-1)?.step ?? 0);
  if (stored) return stored;
  const { config, command } = readInfo(folder);
  const { steps, labels, episodes } = z
    .object({ steps: z.number(), labels: z.number().default(0), episodes: z.number().default(100) })
    .parse(config);
  const world = samples.find(({ kind }) => kind === 'world') as WorldSample | undefined;
  const { maxEpisodeSteps = Number.POSITIVE_INFINITY, images } = world ?? {};
  return diagnoseControl(rows, { steps, labels: command === 'rl' ? 0 : labels, maxEpisodeSteps, images, episodes });
}

/** What shows that a training is healthy. */
function healthy({ heldOut, pearson, foreseen, returnBefore, returnLast }: ControlMeasures): string {
  const evidence = [
    Number.isFinite(heldOut) && `the reward orders ${percent(heldOut, 0)} of held-out pairs`,
    Number.isFinite(pearson) && !Number.isFinite(heldOut) && `r = ${pearson.toFixed(2)} with the true reward`,
    !Number.isFinite(heldOut) && Number.isFinite(foreseen) && `it foresaw ${percent(foreseen, 0)} of the choices`,
    Number.isFinite(returnLast) &&
      (Number.isFinite(returnBefore)
        ? `the return went from ${short(returnBefore)} to ${short(returnLast)}`
        : `the return is ${short(returnLast)}`),
  ].filter(Boolean);
  return `Nothing is wrong that these figures show${evidence.length > 0 ? `: ${evidence.join(', ')}` : ''}.`;
}

const short = (x: number): string => Number(x.toPrecision(3)).toLocaleString('en-US').replace('-', '−');
