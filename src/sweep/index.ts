export {
  type AblateInput,
  type AblateOptions,
  type Ablation,
  type AblationResult,
  ablateSchema,
  ablationReport,
  ablations,
  checkAblation,
  createAblation,
  trainAblation,
} from './ablate.ts';
export type { CellResult } from './cell.ts';
export type { LearningCurve } from './curves.ts';
export type { LabelOutcome, Needs } from './needs.ts';
export {
  checkSweep,
  createSweep,
  type Sweep,
  type SweepInput,
  type SweepOptions,
  type SweepResult,
  sweepSchema,
  trainSweep,
} from './sweep.ts';
export { sweepReport } from './sweep-report.ts';
export { type CellsParts, type CellsStep, readResults } from './trained.ts';
