export { type A2c, type A2cMetrics, createA2c } from './a2c.ts';
export { type A2cOptions, a2cSchema } from './a2c-options.ts';
export { type Action, type ControlPolicy, createControlPolicy } from './control-policy.ts';
export type { EnvironmentInput } from './environment-input.ts';
export { createEvaluator, type Evaluation, type Evaluator, meanAndDeviation } from './evaluate.ts';
export { isSmall } from './forward.ts';
export { type LoadPolicyOptions, loadPolicy } from './load-policy.ts';
export type { OnPolicy } from './on-policy.ts';
export { createPolicyNetwork, type PolicyNetwork, type PolicyNetworkOptions } from './policy.ts';
export type { PolicySnapshot } from './policy-snapshot.ts';
export { createPpo, type Ppo, type PpoMetrics } from './ppo.ts';
export { type PpoOptions, ppoSchema } from './ppo-options.ts';
export { atariPreset, ppoPresets } from './presets.ts';
export type { ReplayBuffer } from './replay-buffer.ts';
export { rlReport } from './report.ts';
export { type RlInput, type RlResult, rl } from './rl.ts';
export type { Rollout } from './rollout.ts';
export { createSac, type Sac, type SacMetrics } from './sac.ts';
export { type SacOptions, sacSchema } from './sac-options.ts';
export {
  createRlLearner,
  type RlLearner,
  type RlMetrics,
  type RlOptions,
  type RlRunResult,
  type RlSettings,
  type RlStep,
  rlOptions,
  rlSchema,
  trainRl,
} from './train.ts';
export { createTrpo, type Trpo, type TrpoMetrics } from './trpo.ts';
export { type TrpoOptions, trpoSchema } from './trpo-options.ts';
