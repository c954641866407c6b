/**
 * Trains language models. A verb takes one input and returns a training: await it for its result, or iterate it for its
 * steps. The building blocks are in heed/align/parts.
 *
 *     const { model, metrics } = await dpo({ model: 'reviews-base', data: [{ prompt, chosen, rejected }, …] });
 */
export type { Training } from '../run/index.ts';
export { AbortError } from '../run/training.ts'; // not by the room's door: a page has no files
export {
  type AgentTasks,
  type EnvironmentOpener,
  type EnvironmentSourceOptions,
  type EpisodePlayer,
  type EpisodePolicy,
  type EpisodeTasks,
  environmentKinds,
  type LanguageEnvironment,
  type LanguageTasks,
  openLanguageTasks,
  type PlayedEpisode,
  type PolicyTurn,
  type TurnResult,
} from './agents/environment.ts';
export { evaluateTasks, type TaskEvaluation, type TaskEvaluationOptions } from './agents/evaluate.ts';
export { type EpisodePair, episodePairs } from './agents/pairs.ts';
export type { EpisodeFailure } from './agents/rollouts.ts';
export { calculatorTasks } from './agents/tasks/calculator.ts';
export type { TaskOptions } from './agents/tasks/draw.ts';
export { type GuessOptions, guessTasks } from './agents/tasks/guess.ts';
export { languageTasks } from './agents/tasks/named.ts';
export { sqlTasks, writePeople } from './agents/tasks/sql.ts';
export { type Tool, type ToolEnvironmentOptions, toolEnvironment } from './agents/tools.ts';
export { type BestOfNInput, type BestOfNResult, type BestOfNStep, bestOfN } from './best-of-n/best-of-n.ts';
export { type RaftInput, raft } from './best-of-n/raft.ts';
export { type RestInput, rest } from './best-of-n/rest.ts';
export {
  type ConstitutionInput,
  type ConstitutionResult,
  type ConstitutionStep,
  constitution,
} from './constitution/constitution.ts';
export { type DistillInput, distill } from './distillation/distill.ts';
export type { PolicyComparison } from './evaluation/comparison.ts';
export { evaluatePolicy, type PolicyEvaluationInput, type PolicyEvaluationStep } from './evaluation/evaluation.ts';
export { type DataUse, type TokenSequence, type TokenViewOptions, viewTokens } from './examples/token-view.ts';
export type { CompletionJudge, JudgeFunction, JudgeSource } from './judges/judge.ts';
export { type Criterion, openRubricReward, type RubricOptions } from './judges/rubric.ts';
export type { PolicyStep } from './policies/learner.ts';
export type { RemoteWeights } from './policies/remote-policy.ts';
export type { PolicyTraining, PolicyTrainingResult } from './policies/setup.ts';
export { type GrpoInput, grpo } from './policy-gradient/grpo.ts';
export { type ParetoInput, type ParetoResult, type ParetoStep, pareto } from './policy-gradient/pareto.ts';
export { type ReinforceInput, reinforce, rloo } from './policy-gradient/reinforce.ts';
export { type PpoInput, ppo } from './ppo/learner.ts';
export { type BcoInput, bco } from './preferences/bco.ts';
export { type CpoInput, cpo } from './preferences/cpo.ts';
export { type DpoInput, dpo } from './preferences/dpo.ts';
export { type KtoInput, kto } from './preferences/kto.ts';
export type { PreferenceStep } from './preferences/learner.ts';
export { type OnlineDpoInput, onlineDpo } from './preferences/online-dpo.ts';
export { type OrpoInput, orpo } from './preferences/orpo.ts';
export type { PreferenceTraining } from './preferences/setup.ts';
export type { ProcessModel } from './process/model.ts';
export { type ProcessInput, type ProcessResult, type ProcessStep, processSupervision } from './process/process.ts';
export type { RewardFunction } from './reward-functions/call.ts';
export type { Branch, Completion, Episode, Reward } from './reward-functions/reward-function.ts';
export {
  type Isolation,
  runSandboxed,
  type SandboxEnd,
  type SandboxLanguage,
  type SandboxOptions,
  type SandboxResult,
  type SandboxSupport,
  sandboxSupport,
} from './reward-functions/sandbox.ts';
export { passesTests, type TestOptions, type TestOutcome, type TestReward } from './reward-functions/unit-tests.ts';
export {
  type AnswerField,
  type ExactAnswerOptions,
  exactAnswer,
  matchesJsonSchema,
  matchesPattern,
  type NumericAnswerOptions,
  numericAnswer,
  weightedSum,
} from './reward-functions/verifiable.ts';
export { loadRewardModel, type RewardModel, type ScoredRow, saveRewardModel } from './reward-model/model.ts';
export { type RewardInput, type RewardResult, type RewardStep, reward } from './reward-model/reward.ts';
export { type JudgmentInput, judgeReward, type RewardJudgment } from './rewards/judge-reward.ts';
export { openReward, type RewardSource } from './rewards/open.ts';
export type { LanguageStep } from './supervised/learner.ts';
export { type PretrainInput, pretrain } from './supervised/pretrain.ts';
export { type SftInput, sft } from './supervised/sft.ts';
export type { LanguageTraining } from './supervised/train.ts';
export type { Surroundings } from './training/input.ts';
export type { LoopStep } from './training/loop.ts';
export type { ModelResult, TrainingResult } from './training/verb.ts';
