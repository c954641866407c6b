/**
 * Learning from an environment's own reward, by PPO, A2C, TRPO or SAC. The verb takes one input and returns a training:
 * await it for its result, or iterate it for its steps.
 *
 *     const { policy, metrics } = await rl({ env: 'CartPole-v1' });
 *     using earlier = await loadPolicy('runs/20260102-030405-CartPole-v1');
 *     earlier.act([0.01, 0, 0.02, 0]);
 */

// Verbs, and what they take and give.

export type { Training } from '../run/index.ts';
export { AbortError } from '../run/training.ts'; // not by the room's door: a page has no files
export type { Action, ControlPolicy } from './control-policy.ts';
export type { EnvironmentInput } from './environment-input.ts';
export type { Evaluation } from './evaluate.ts';
export { type LoadPolicyOptions, loadPolicy } from './load-policy.ts';
export { savePolicy } from './policy-snapshot.ts';
export { openRlLearner, type RlInput, type RlResult, rl } from './rl.ts';
export type { RlMetrics, RlStep } from './train.ts';

// Runs in a folder: settings, learner, training and report.

export { atariPreset, ppoPresets } from './presets.ts';
export { rlReport } from './report.ts';
export {
  createRlLearner,
  type RlLearner,
  type RlOptions,
  type RlRunResult,
  type RlSettings,
  rlOptions,
  rlSchema,
  trainRl,
} from './train.ts';

// Building blocks: algorithms, networks, policies as data, evaluation.

export { type A2c, type A2cMetrics, createA2c } from './a2c.ts';
export { type A2cOptions, a2cSchema } from './a2c-options.ts';
export { createControlPolicy } from './control-policy.ts';
export { type RecordedEpisode, type RecordingOptions, recordEpisode } from './episodes.ts';
export { createEvaluator, type Evaluator, meanAndDeviation } from './evaluate.ts';
export { isSmallPass } from './forward.ts';
export type { OnPolicy } from './on-policy.ts';
export { createPolicyNetwork, type PolicyNetwork, type PolicyNetworkOptions } from './policy.ts';
export type { PolicySnapshot } from './policy-snapshot.ts';
export { createPpo, type Ppo, type PpoMetrics } from './ppo.ts';
export { type PpoOptions, ppoSchema } from './ppo-options.ts';
export type { ReplayBuffer } from './replay-buffer.ts';
export type { Rollout } from './rollout.ts';
export { createSac, type Sac, type SacMetrics } from './sac.ts';
export { type SacOptions, sacSchema } from './sac-options.ts';
export { createTrpo, type Trpo, type TrpoMetrics } from './trpo.ts';
export { type TrpoOptions, trpoSchema } from './trpo-options.ts';
