export { type Checkpoint, readCheckpoint } from './checkpoint.ts';
export { createProgress, type Progress, type ProgressOptions } from './progress.ts';
export {
  createRun,
  isRun,
  type MetricsRow,
  type NewRun,
  openRun,
  Run,
  type RunInfo,
  readInfo,
  readMetrics,
  readSamples,
} from './run.ts';
