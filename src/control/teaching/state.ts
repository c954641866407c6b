/** The saved state of the teaching: plain data and tensors, from which a resumed run continues bit for bit. */
import type { VectorEnvironment, VectorState } from '../../env/batch/vector.ts';
import type { SavedStatistics } from '../../rl/normalize.ts';
import type { RewardEnsemble } from '../reward/ensemble.ts';
import type { createInputStatistics } from '../reward/inputs.ts';
import type { Experience, SavedNumbers } from '../segments.ts';
import type { Querying } from './asking.ts';
import {
  packComparisons,
  packQueries,
  type SavedComparison,
  type SavedQuery,
  unpackComparisons,
  unpackQueries,
} from './comparisons.ts';
import type { Fitting } from './fitting.ts';
import type { TeachingProgress } from './progress.ts';
import type { ComparisonRecord } from './record.ts';

/** The state of a teaching without its tensors, as checkpoints hold it. */
export interface TeachingState extends TeachingProgress {
  comparisons: SavedComparison[];
  /** Queries without a judgment; only if the teacher answers later. */
  waiting?: SavedQuery[];
  /** Statistics of observations and of changes, one after the other. */
  statistics: SavedStatistics;
  environment: VectorState;
  experience: ReturnType<Experience['save']>['state'];
  reward: ReturnType<RewardEnsemble['save']>['state'];
}

/** Tensors of a checkpoint, by name. */
export type CheckpointTensors = Record<string, { dtype: 'F32'; shape: number[]; data: Float32Array }>;

/** The parts that have state. */
export interface TeachingParts {
  progress: TeachingProgress;
  record: ComparisonRecord;
  querying: Querying;
  fitting: Fitting;
  ensemble: RewardEnsemble;
  experience: Experience;
  statistics: ReturnType<typeof createInputStatistics>;
  environment: VectorEnvironment;
}

/** The state of all parts as plain data and tensors. */
export function saveTeaching(parts: TeachingParts): { state: TeachingState; tensors: Record<string, SavedNumbers> } {
  const { progress, record, querying, fitting, statistics, environment } = parts;
  const ensemble = parts.ensemble.save();
  const experience = parts.experience.save();
  const comparisons = packComparisons(record.all);
  const open = querying.open && packQueries(querying.open, environment);
  return {
    state: {
      ...progress,
      predictions: { ...progress.predictions },
      restart: structuredClone(progress.restart),
      ...querying.save(),
      ...fitting.save(),
      comparisons: comparisons.state,
      waiting: open?.state,
      statistics: statistics.save(),
      environment: environment.save(),
      experience: experience.state,
      reward: ensemble.state,
    },
    tensors: {
      ...(ensemble.tensors as CheckpointTensors),
      ...experience.tensors,
      ...comparisons.tensors,
      ...open?.tensors,
    },
  };
}

/** Restores the state of all parts. @throws HeedError if the checkpoint does not fit the settings. */
export function restoreTeaching(
  parts: TeachingParts,
  state: TeachingState,
  tensors: Record<string, SavedNumbers>,
): void {
  const { comparisons, waiting, statistics, environment, experience, reward, ...progress } = state;
  parts.ensemble.restore(reward, tensors as CheckpointTensors);
  parts.experience.restore(experience, tensors);
  parts.environment.restore(environment);
  parts.statistics.restore(statistics);
  Object.assign(parts.progress, progress);
  parts.record.replace(unpackComparisons(comparisons, tensors, parts.environment));
  parts.fitting.forget();
  parts.querying.restore(unpackQueries(waiting ?? [], tensors, parts.environment));
}
