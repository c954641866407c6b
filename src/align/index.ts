export type { AnswerRow, SampleAnswer } from './answers.ts';
export { type BcoInput, type BcoOptions, bco, bcoLoss, bcoSchema, createBco } from './bco.ts';
export {
  type BestOf,
  type BestOfN,
  type BestOfNInput,
  type BestOfNOptions,
  type BestOfNStep,
  bestOf,
  bestOfNSchema,
  createBestOfN,
  type Drawn,
} from './best-of-n.ts';
export { defaultConstitution, type Principle, readConstitution } from './constitution/principles.ts';
export { constitutionReport } from './constitution/report.ts';
export { type ConstitutionResult, constitutionMetrics, trainConstitution } from './constitution/train.ts';
export {
  type Constitution,
  type ConstitutionInput,
  type ConstitutionOptions,
  type ConstitutionStep,
  constitution,
  constitutionSchema,
  createConstitution,
} from './constitution.ts';
export { type CpoInput, type CpoLossOptions, type CpoOptions, cpo, cpoLoss, cpoSchema, createCpo } from './cpo.ts';
export { createDpo, type DpoInput, type DpoOptions, dpo, dpoSchema } from './dpo.ts';
export { type ComparedPair, comparisonOf, type PolicyComparison } from './evaluations/comparison.ts';
export {
  type PolicyEvaluationInput,
  type PolicyEvaluationOptions,
  policyEvaluationSchema,
} from './evaluations/options.ts';
export { policyEvaluationReport } from './evaluations/report.ts';
export { type PolicyEvaluationResult, runPolicyEvaluation } from './evaluations/run.ts';
export { type LengthControlled, lengthControlled, type WinRate, winRateOf } from './evaluations/win-rate.ts';
export { createGrpo, createGrpoAlgorithm, type GrpoInput, type GrpoOptions, grpo, grpoSchema } from './grpo.ts';
export { modelChat, openChat } from './judges/chat.ts';
export { type ChatSettings, chatCallSchema } from './judges/endpoint-chat.ts';
export { createJudge, type Judge, type JudgeCheck, openJudge, type Verdict } from './judges/judge.ts';
export type { Chat, CompleteOptions, Conversation } from './judges/source.ts';
export { createKto, type KtoInput, type KtoLossOptions, type KtoOptions, kto, ktoLoss, ktoSchema } from './kto.ts';
export { encodeRow, type Loss, losses } from './likelihood/encode.ts';
export { createExamples, type Examples, gatherExamples } from './likelihood/examples.ts';
export {
  createLanguageLearner,
  type LanguageEvaluation,
  type LanguageLearner,
  type LanguageStep,
  type Sample,
  type SamplePrompt,
} from './likelihood/learner.ts';
export { createHeldOutLoss, createLikelihood, type HeldOutLoss, type Likelihood } from './likelihood/likelihood.ts';
export { languageReport } from './likelihood/report.ts';
export { createRows, datasetRows, packExamples, type Rows } from './likelihood/rows.ts';
export { type LanguageResult, trainLanguageModel } from './likelihood/train.ts';
export {
  createOnlineDpo,
  createOnlineDpoAlgorithm,
  type OnlineDpoInput,
  type OnlineDpoOptions,
  onlineDpo,
  onlineDpoSchema,
} from './online-dpo.ts';
export { createOrpo, type OrpoInput, type OrpoOptions, orpo, orpoLoss, orpoSchema } from './orpo.ts';
export type { Curve, Point } from './overoptimization/curves.ts';
export { fitScalingLaw, gainAt, type ScalingLaw } from './overoptimization/fit.ts';
export { overoptimizationReport } from './overoptimization/report.ts';
export {
  type OveroptimizationResult,
  type OveroptimizationStep,
  trainOveroptimization,
} from './overoptimization/train.ts';
export {
  createOveroptimization,
  type OveroptimizationInput,
  type OveroptimizationOptions,
  overoptimizationSchema,
} from './overoptimization.ts';
export {
  createPareto,
  dominated,
  hypervolume,
  type ParetoInput,
  type ParetoLearner,
  type ParetoOptions,
  type ParetoPoint,
  type ParetoStep,
  paretoSchema,
} from './pareto.ts';
export { type PlanAlgorithm, type PlanInput, type PlanOptions, planAlgorithms, planSchema } from './plan/options.ts';
export type { Role } from './plan/roles.ts';
export { type ModelShape, typicalShape } from './plan/shapes.ts';
export { type Change, type Plan, plan } from './plan.ts';
export { groupAdvantages, leaveOneOut, normalizeThenSum, type Scale, standardize } from './policies/advantages.ts';
export type { Alert } from './policies/alerts.ts';
export type { PolicyAlgorithm } from './policies/algorithm.ts';
export { type AnswerOptions, createAnswerLearner } from './policies/answer-learner.ts';
export { type AnswerNumbers, type AnswerTrainer, createAnswerTrainer, minibatches } from './policies/answer-trainer.ts';
export { type BestOfNResult, bestOfNReport, trainBestOfN } from './policies/best-of-n-train.ts';
export { type Constraint, constrain, parseConstraints, withConstraints } from './policies/constraints.ts';
export {
  type GrpoLoss,
  type GrpoLossOptions,
  grpoInputs,
  grpoLoss,
  grpoLosses,
  tokenWeights,
} from './policies/grpo-loss.ts';
export {
  createPolicyLearner,
  type PolicyEvaluation,
  type PolicyLearner,
  type PolicyLearnerParts,
  type PolicyStep,
} from './policies/learner.ts';
export { type PolicyTrainingOptions, policyTrainingSchema } from './policies/options.ts';
export { type ParetoPolicy, type ParetoResult, paretoReport, trainPareto } from './policies/pareto-train.ts';
export { checkSameTokens, createPolicy, type Policy, type PolicyOptions } from './policies/policy.ts';
export { createPpo, type PpoLearner, type PpoParts, ppo } from './policies/ppo-learner.ts';
export { type PpoInput, type PpoOptions, ppoSchema } from './policies/ppo-options.ts';
export { policyReport } from './policies/report.ts';
export {
  type AnswerLayout,
  answerBatches,
  answerKl,
  answerLayout,
  createAnswerScorer,
  createRollouts,
  type Prompt,
  type Rollout,
  type Rollouts,
} from './policies/rollouts.ts';
export { type PolicyParts, type PolicySetup, setUpPolicy } from './policies/setup.ts';
export { type PolicyResult, trainPolicy } from './policies/train.ts';
export {
  createPolicyEvaluation,
  evaluatePolicy,
  type PolicyEvaluationParts,
  type PolicyEvaluationStep,
  type PolicyEvaluator,
} from './policy-evaluation.ts';
export { createPpoAlgorithm, ppoLoss } from './ppo.ts';
export type { Items } from './preferences/batch.ts';
export { type PreferenceData, type PreferenceItems, readPreferences } from './preferences/data.ts';
export {
  type Divergence,
  type DpoLoss,
  type DpoLossOptions,
  divergences,
  dpoLoss,
  dpoLosses,
} from './preferences/dpo-loss.ts';
export type { PreferenceEvaluation } from './preferences/evaluation.ts';
export {
  createPreferenceLearner,
  type PreferenceAlgorithm,
  type PreferenceLearner,
  type PreferenceLearnerParts,
  type PreferenceStep,
} from './preferences/learner.ts';
export { type Answers, createLossProgram, type PreferenceLoss } from './preferences/loss.ts';
export { type PreferenceOptions, preferenceSchema } from './preferences/options.ts';
export { encodePair, gatherPairs, type PairOptions, type Pairs } from './preferences/pairs.ts';
export { offlinePreferenceReport } from './preferences/report.ts';
export { createPreferences, type PreferenceParts } from './preferences/setup.ts';
export { type PreferenceResult, trainPreferences } from './preferences/train.ts';
export { createPreferenceScorer, createPreferenceTrainer } from './preferences/trainer.ts';
export {
  createPretrain,
  type PretrainInput,
  type PretrainLearner,
  type PretrainOptions,
  pretrain,
  pretrainSchema,
} from './pretrain.ts';
export { evaluateSteps, type StepEvaluation } from './process/evaluation.ts';
export { processReward } from './process/model.ts';
export { type ProcessInput, type ProcessOptions, processSchema } from './process/options.ts';
export { processReport } from './process/report.ts';
export { type Aggregate, aggregates, stepRewards, stepsIn, worthOf } from './process/steps.ts';
export { type ProcessResult, trainProcess } from './process/train.ts';
export {
  createProcess,
  type ProcessLearner,
  type ProcessParts,
  type ProcessStep,
  processSupervision,
  stepLoss,
  supervised,
} from './process.ts';
export { createRaft, createRaftAlgorithm, type RaftInput, type RaftOptions, raft, raftSchema } from './raft.ts';
export {
  createReinforce,
  createReinforceAlgorithm,
  createRloo,
  type ReinforceInput,
  type ReinforceOptions,
  reinforce,
  reinforceLoss,
  reinforceSchema,
  rloo,
  rlooSchema,
} from './reinforce.ts';
export type { CallSettings } from './requests.ts';
export { createRest, createRestAlgorithm, type RestInput, type RestOptions, rest, restSchema } from './rest.ts';
export { createReward, type RewardLearner, type RewardParts, type RewardStep, reward } from './reward.ts';
export type { RewardFunction } from './rewards/call.ts';
export { gatherRankings, type RankingOptions, type Rankings } from './rewards/data.ts';
export { driftOf, evaluateReward, judgedPairs, type RewardEvaluation } from './rewards/evaluation.ts';
export { type Judgment, type JudgmentRow, judgeReward, judgmentSchema } from './rewards/judgment.ts';
export {
  createRankingTrainer,
  type Ranking,
  type RankingLossOptions,
  type RankingTrainer,
  rankingLoss,
} from './rewards/loss.ts';
export {
  createRewardModel,
  createRewardScorer,
  loadRewardModel,
  type RewardModel,
  saveRewardModel,
  scoredAnswer,
} from './rewards/model.ts';
export { ensembleReward, membersOf, mixedReward, modelReward, openReward } from './rewards/open.ts';
export { type RewardInput, type RewardOptions, rewardSchema } from './rewards/options.ts';
export { evaluationReport, rewardReport } from './rewards/report.ts';
export { reviewReward } from './rewards/reviews.ts';
export type { Answer, Reward, RewardPart, Scores, StepReward } from './rewards/source.ts';
export { type RewardResult, trainReward } from './rewards/train.ts';
export { reviewComparisons } from './rewards/world.ts';
export { createSft, type SftInput, type SftLearner, type SftOptions, type SftParts, sft, sftSchema } from './sft.ts';
export { adamw, evaluationIsDue, itemsOfStep, rates } from './steps.ts';
export type { TrainedModel } from './train-model.ts';
