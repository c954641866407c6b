export { createLearner, type Learner, type LearnStep, learnFromPreferences } from './learn.ts';
export { type LearnInput, type LearnOptions, learnOptions, learnPresets, learnSchema } from './options.ts';
export type { Asked } from './queries.ts';
export { preferenceReport } from './report.ts';
export { createRewardEnsemble } from './reward-ensemble.ts';
export type { Fit, Labelled } from './reward-fit.ts';
export { type RewardOptions, rewardSchema } from './reward-options.ts';
export { createExperience, type Experience, type Segment } from './segments.ts';
export { type Followed, type TrainResult, trainFromPreferences, trainOptions, trainSchema } from './train.ts';
