/**
 * Diagnosis of control: whether an agent learned what it was taught, and if not, why. From the rows of metrics alone.
 *
 * From the command line: heed diagnose RUN
 */
import { z } from 'zod';
import { withCommas } from '../../commas.ts';
import { percent } from '../../percent.ts';
import { type Diagnosis, diagnosisOf, storedDiagnosis } from '../../run/diagnosis.ts';
import { type MetricsRow, readInfo, readMetrics, readSamples } from '../../run/run.ts';
import {
  type ControlFacts,
  type ControlMeasures,
  type ControlRow,
  measureControl,
  standardIn,
  worldIn,
} from './measures.ts';
import { rules, stages } from './rules.ts';

/** Diagnoses a training of control by its rows so far. */
export function diagnoseControl(rows: readonly ControlRow[], facts: ControlFacts): Diagnosis {
  const measures = measureControl(rows, facts);
  const applying = rules
    .filter(({ only }) => only === undefined || only === facts.command)
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
      advice: typeof advice === 'function' ? advice(facts, measures) : advice,
    }));
  const finite = Object.entries(measures).filter(([, value]) => Number.isFinite(value));
  return diagnosisOf(findings, healthy(measures, facts), Object.fromEntries(finite));
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
  const { judge, teacher, ...settings } = settingsSchema.parse(config);
  const { maxEpisodeSteps = Number.POSITIVE_INFINITY, images } = worldIn(samples) ?? {};
  const standard = standardIn(samples, { teacher, judge });
  const taught = command === 'rl' ? undefined : { command: 'train' as const, standard };
  const rewarded = { command: 'rl' as const, standard, labels: 0 };
  return diagnoseControl(rows, { ...settings, maxEpisodeSteps, images, ...(taught ?? rewarded) });
}

const settingsSchema = z.object({
  steps: z.number(),
  labels: z.number().default(0),
  episodes: z.number().default(100),
  algorithm: z.enum(['ppo', 'a2c', 'trpo', 'sac', 'pebble']).default('ppo'),
  teacher: z.string().optional(),
  judge: z.string().optional(),
});

/** What shows that a training is healthy. */
function healthy(measures: ControlMeasures, { standard }: ControlFacts): string {
  const { heldOut, pearson, foreseen, judgments, returnBefore, returnLast, learnedGain } = measures;
  const taught = standard === 'teacher' || standard === 'people';
  const evidence = [
    Number.isFinite(heldOut) && `the reward orders ${percent(heldOut, 0)} of held-out pairs`,
    Number.isFinite(pearson) &&
      !Number.isFinite(heldOut) &&
      !taught &&
      `r = ${pearson.toFixed(2)} with the true reward`,
    Number.isFinite(judgments) &&
      `a reward predicts ${percent(judgments, 0)} of judgments that it has not learned from`,
    !Number.isFinite(heldOut) &&
      !Number.isFinite(judgments) &&
      Number.isFinite(foreseen) &&
      `it foresaw ${percent(foreseen, 0)} of the choices`,
    standard !== 'return' &&
      Number.isFinite(learnedGain) &&
      `by the learned reward the agent is ${short(Math.abs(learnedGain))} deviations ${learnedGain < 0 ? 'below' : 'above'} random play`,
    standard === 'return' &&
      Number.isFinite(returnLast) &&
      (Number.isFinite(returnBefore)
        ? `the return went from ${short(returnBefore)} to ${short(returnLast)}`
        : `the return is ${short(returnLast)}`),
  ].filter(Boolean);
  return `These figures show nothing wrong${evidence.length > 0 ? `: ${evidence.join(', ')}` : ''}.`;
}

const short = (x: number): string => withCommas(Number(x.toPrecision(3))).replace('-', '−');
