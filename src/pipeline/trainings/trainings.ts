/** Every command that a stage of a pipeline can run, by name: how it is checked, created, trained and reported. */
import { comparisonTrainings } from './comparisons.ts';
import { controlTrainings } from './control.ts';
import { policyTrainings } from './policies.ts';
import { preferenceTrainings } from './preferences.ts';
import { rewardTrainings } from './rewards.ts';
import { supervisedTrainings } from './supervised.ts';
import type { StageTraining } from './training.ts';

/** The commands that a stage can run, by name. A program that needs one family imports its file: it loads less. */
export const trainings: Readonly<Record<string, StageTraining>> = {
  ...controlTrainings,
  ...supervisedTrainings,
  ...rewardTrainings,
  ...policyTrainings,
  ...preferenceTrainings,
  ...comparisonTrainings,
};
