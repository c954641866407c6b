export { type RunCheckpoint, readCheckpoint } from './checkpoint.ts';
export { type Diagnosis, diagnosisOf, type Finding } from './diagnosis.ts';
export { type Drivable, driveRun, stepsOf, type TrainParts } from './drive.ts';
export { bootstrap, type Interval, wilson } from './intervals.ts';
export { type LoggerChoice, type LoggerMaker, loggers } from './loggers/attach.ts';
export type { Ending, RunLogger } from './loggers/logger.ts';
export { createProgress, type Progress, type ProgressOptions } from './progress.ts';
export type { ClipsSection, ComparedClips, PairOfClips } from './report/clips.ts';
export type { Diagram, DiagramBox, DiagramLane } from './report/diagram.ts';
export type { LineChart, Series } from './report/line-chart.ts';
export type { Scatter } from './report/scatter.ts';
export { type Link, type Report, renderReport, type Section, type Table, type Text, writeReport } from './report.ts';
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
export { AbortError, createTraining, type Steps, type Training } from './training.ts';
