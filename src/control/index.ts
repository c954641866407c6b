export { type Action, type ControlPolicy, createControlPolicy } from '../rl/control-policy.ts';
export { type LoadPolicyOptions, loadPolicy } from '../rl/load-policy.ts';
export { type Clip, type ClipStep, type Judge, judges, loadJudge } from './behaviors/index.ts';
export { clipsOf } from './clips.ts';
export { type ControlReward, createControlReward } from './control-reward.ts';
export {
  type EvaluateRunOptions,
  evaluateRun,
  evaluateRunSchema,
  type ReturnFigures,
  type RunEvaluation,
} from './evaluate-run.ts';
export {
  createLearner,
  type LearnInput,
  type LearnMetrics,
  type LearnResult,
  learnFromPreferences,
  openLearner,
  type PebbleInput,
  pebble,
} from './learn.ts';
export type { Learner, LearnStep } from './learner.ts';
export { type LoadRewardOptions, loadReward } from './load-reward.ts';
export { type LearnOptions, type LearnSettings, learnSchema } from './options.ts';
export { learnOptions, learnPresets } from './presets.ts';
export type { RewardAgreement } from './probe.ts';
export type { Asked } from './queries.ts';
export { preferenceReport } from './report.ts';
export { createRewardEnsemble } from './reward/ensemble.ts';
export type { Fit, Labeled } from './reward/fit.ts';
export { type RewardOptions, rewardSchema } from './reward/options.ts';
export type { RewardSnapshot } from './reward-snapshot.ts';
export { createExperience, type Experience, type Segment } from './segments.ts';
export type { ClipPreference, ClipTeacher, JudgeInput, TeacherInput } from './teacher-input.ts';
export { type LearnRunResult, trainFromPreferences, trainOptions, trainSchema } from './train.ts';
export { type WatchOptions, watchPage, watchSchema } from './watch.ts';
