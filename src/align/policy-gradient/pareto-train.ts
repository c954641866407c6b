/** A Pareto front of two rewards in a run's folder: a model for each weighting, and the report. */
import { join } from '../../node.ts';
import { type Diagnosis, diagnosisOf } from '../../run/diagnosis.ts';
import { driveRun, type TrainParts } from '../../run/drive.ts';
import { figure } from '../../run/progress.ts';
import type { Scatter } from '../../run/report/scatter.ts';
import type { Report } from '../../run/report.ts';
import { linesOver, reportRun, tableOf } from '../../run/report-parts.ts';
import { diagnosePolicySettings } from '../diagnosis/policy.ts';
import { type Diagnose, diagnoseRun } from '../diagnosis/run.ts';
import type { PolicySample } from '../policies/policy-evaluation.ts';
import {
  dominated,
  hypervolume,
  type ParetoLearner,
  type ParetoPoint,
  type ParetoStep,
  paretoMetrics,
  pointMetrics,
} from './pareto.ts';

/** A policy by its rewards, with its model. */
export interface ParetoPolicy extends ParetoPoint {
  /** Whether another policy is better in one reward and no worse in the other. */
  dominated: boolean;
  /** Folder of the policy's model; undefined for the initial model. */
  model?: string;
}

/** The result of `trainPareto`. */
export interface ParetoRun {
  /** The run's folder. */
  run: string;
  /** Names of both rewards. */
  rewards: readonly string[];
  /** The initial model, then the policies in the order of their weights. */
  points: ParetoPolicy[];
  /** Area of the rewards that the front dominates and the initial model does not. */
  hypervolume: number;
  /** Steps of all policies. */
  steps: number;
  /** Wall time in seconds, including earlier processes of the run. */
  seconds: number;
}

/** A row of samples.jsonl for a point. */
interface PointRow {
  kind: 'point';
  step: number;
  names: readonly string[];
  point: ParetoPoint;
  samples: readonly PolicySample[];
}

const folderOf = ({ weight }: ParetoPoint) => `policy-${weight}`;

/**
 * Trains the policies in a run's folder. Resumes from the run's newest checkpoint. Returns undefined when the signal
 * stops it, after writing a checkpoint.
 */
export function trainPareto(learner: ParetoLearner, parts: TrainParts<ParetoStep>): Promise<ParetoRun | undefined> {
  const { run } = parts;
  const { names, start } = learner;
  const record = (step: number, point: ParetoPoint, samples: readonly PolicySample[]) => {
    run.sample({ kind: 'point', step, names, point, samples } satisfies PointRow);
    return pointMetrics(point);
  };
  return driveRun(learner, {
    ...parts,
    before: () => record(0, start, []),
    record(latest) {
      const { step, point, samples = [] } = latest;
      if (point) learner.saveModel(join(run.folder, folderOf(point)));
      if (point) record(step, point, samples);
      return paretoMetrics(latest);
    },
    result({ step }, seconds): ParetoRun {
      const points = [start, ...learner.points()];
      const worse = dominated(points);
      return {
        run: run.folder,
        rewards: names,
        points: points.map((point, i) => ({
          ...point,
          dominated: worse[i],
          ...(point.weight !== undefined && { model: join(run.folder, folderOf(point)) }),
        })),
        hypervolume: hypervolume(learner.points(), start.rewards),
        steps: step,
        seconds,
      };
    },
  });
}

/** The findings of every policy of a Pareto front; they are trained one after another. */
const diagnoseEach: Diagnose = (rows, config) => {
  const weights = [...new Set(rows.filter((row) => 'weight' in row).map(({ weight }) => weight))];
  const each = weights.map((weight) => {
    const { findings, summary } = diagnosePolicySettings(
      rows.filter((row) => row.weight === weight),
      config,
    );
    const at = (text: string) => `With weight ${weight}: ${text}`;
    return { findings: findings.map((finding) => ({ ...finding, text: at(finding.text) })), summary: at(summary) };
  });
  const nothing = 'There is nothing to diagnose yet: the run has no step.';
  return diagnosisOf(
    each.flatMap(({ findings }) => findings),
    each.at(-1)?.summary ?? nothing,
    { policies: weights.length },
  );
};

/** The diagnosis of such a run: the one it stored, or one of the rows so far. */
export const diagnoseFront = (folder: string): Diagnosis => diagnoseRun(folder, diagnoseEach);

/** The report of a run of `heed pareto`. @throws HeedError when the folder is not a run. */
export function paretoReport(folder: string): Report {
  return reportRun(folder, ({ rows, samples: all }) => {
    const samples = all as unknown as PointRow[];
    const points = samples.map(({ point }) => point);
    const worse = dominated(points);
    const area = points.length > 1 ? hypervolume(points.slice(1), points[0].rewards) : 0;
    return {
      how: 'Pareto front',
      summary: [
        { label: 'Policies', value: Math.max(0, points.length - 1) },
        { label: 'On the front', value: worse.slice(1).filter((is) => !is).length },
        { label: 'Hypervolume', value: figure(area), note: 'of both rewards, over the initial model' },
      ],
      diagnosis: diagnoseFront(folder),
      sections: [
        ...(samples.length > 0 ? [front(samples[0].names, points, worse)] : []),
        ...linesOver(
          rows,
          'Reward in training',
          'reward',
          'The weighted sum that each policy is trained on, one policy after another.',
          [['reward', 'reward/mean']],
          ['steps'],
        ),
        ...(samples.length > 0 ? numbers(samples[0].names, points, worse) : []),
        ...completions(samples),
      ],
    };
  });
}

const nameOf = ({ weight }: ParetoPoint) => (weight === undefined ? 'start' : String(weight));

const front = (names: readonly string[], points: readonly ParetoPoint[], worse: readonly boolean[]): Scatter => ({
  kind: 'scatter',
  title: 'Pareto front',
  caption: `A policy for each weight of ${names[1]}. Hollow: another one is better in one reward and no worse in the other.`,
  xLabel: names[0],
  yLabel: names[1],
  points: { x: points.map(({ rewards }) => rewards[0]), y: points.map(({ rewards }) => rewards[1]) },
  names: points.map(nameOf),
  hollow: worse,
});

function numbers(names: readonly string[], points: readonly ParetoPoint[], worse: readonly boolean[]) {
  const rows = points.map((point, i) => [
    nameOf(point),
    ...[...point.rewards, point.kl].map(figure),
    worse[i] ? 'dominated' : 'on the front',
  ]);
  return tableOf('In numbers', [`weight of ${names[1]}`, names[0], names[1], 'KL', ''], rows);
}

function completions(samples: readonly PointRow[]) {
  const rows = samples.flatMap(({ point, samples }) =>
    samples.slice(0, 2).map(({ prompt, text }) => [nameOf(point), prompt, text]),
  );
  return tableOf('Completions', ['weight', 'prompt', 'completion'], rows);
}
