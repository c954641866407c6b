export { createEvaluator, type Evaluation, type Evaluator, meanAndDeviation } from './evaluate.ts';
export { isSmall } from './forward.ts';
export { createPolicy, type Policy, type PolicyOptions } from './policy.ts';
export { createPpo, type Ppo, type PpoMetrics } from './ppo.ts';
export { type PpoOptions, ppoSchema } from './ppo-options.ts';
export { ppoPresets } from './presets.ts';
export { ppoReport } from './report.ts';
export type { ReplayBuffer } from './replay-buffer.ts';
export type { Rollout } from './rollout.ts';
export { createSac, type Sac, type SacMetrics } from './sac.ts';
export { type SacOptions, sacSchema } from './sac-options.ts';
export {
  createPpoLearner,
  type PpoLearner,
  type PpoResult,
  type PpoStep,
  ppo,
  type RlInput,
  type RlOptions,
  rlOptions,
  rlSchema,
  trainPpo,
} from './train.ts';
