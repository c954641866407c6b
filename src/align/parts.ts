/**
 * The building blocks of heed/align, for your own trainers: learners, algorithms, losses and readers. The verbs,
 * and the types of what they take and give, are in heed/align.
 */
export {
  type BestOf,
  type BestOfN,
  type BestOfNOptions,
  bestOf,
  createBestOfN,
  type Drawn,
} from './best-of-n/best-of-n.ts';
export { createRaft, createRaftAlgorithm, type RaftOptions } from './best-of-n/raft.ts';
export { createRest, createRestAlgorithm, type RestOptions } from './best-of-n/rest.ts';
export { type Constitution, type ConstitutionOptions, createConstitution } from './constitution/constitution.ts';
export { defaultConstitution, type Principle, readConstitution } from './constitution/principles.ts';
export { createDistill, type DistillLearner, type DistillOptions } from './distillation/distill.ts';
export {
  divergenceOf,
  divergenceOfTop,
  type TokenDivergence,
  type TokenDivergenceOptions,
  tokenDivergences,
} from './distillation/divergence.ts';
export {
  type EndpointTeacher,
  type EndpointTeacherParts,
  openEndpointTeacher,
} from './distillation/endpoint-teacher.ts';
export { type ComparedPair, comparisonOf } from './evaluation/comparison.ts';
export { createPolicyEvaluation, type PolicyEvaluationOptions, type PolicyEvaluator } from './evaluation/evaluation.ts';
export type { PolicyEvaluationResult } from './evaluation/record.ts';
export { type OpinionAnswer, type OpinionQuestion, type Sycophancy, sycophancyOf } from './evaluation/sycophancy.ts';
export { type LengthControlled, lengthControlled, type WinRate, winRateOf } from './evaluation/win-rate.ts';
export { encodeRow, type Loss, losses } from './examples/encode.ts';
export { createExamples, type Examples, gatherExamples } from './examples/examples.ts';
export { encodePair, gatherPairs, type PairOptions, type Pairs } from './examples/pairs.ts';
export { modelChat, openChat } from './judges/chat.ts';
export { createJudge, type JudgeCheck, openJudge, type Verdict } from './judges/judge.ts';
export type { Chat, CompleteOptions, Conversation } from './judges/source.ts';
export type { CurvePoint, OveroptimizationCurve } from './overoptimization/curves.ts';
export { fitScalingLaw, gainAt, type ScalingLaw } from './overoptimization/curves.ts';
export {
  createOveroptimization,
  type OveroptimizationInput,
  type OveroptimizationOptions,
} from './overoptimization/overoptimization.ts';
export type { OveroptimizationResult, OveroptimizationStep } from './overoptimization/record.ts';
export { type ClusterChange, type ClusterPlan, type PartPlan, planCluster, type RunTime } from './plan/cluster.ts';
export { type ClusterPlanInput, type ClusterPlanOptions, type Sharding, shardings } from './plan/cluster-options.ts';
export type { StepTime } from './plan/cluster-time.ts';
export { type Cluster, type ClusterDevice, knownDevices, parseCluster } from './plan/devices.ts';
export { type PlanAlgorithm, type PlanInput, type PlanOptions, planAlgorithms } from './plan/options.ts';
export { type Plan, type PlanChange, plan } from './plan/plan.ts';
export type { MemoryRole } from './plan/roles.ts';
export { type ModelShape, typicalShape } from './plan/shapes.ts';
export {
  type AdvantageEstimator,
  type AdvantageName,
  advantageEstimators,
  groupAdvantages,
  leaveOneOut,
  lessMean,
  normalizeThenSum,
  type Scale,
  standardize,
} from './policies/advantages.ts';
export type { PolicyAlgorithm } from './policies/algorithm.ts';
export {
  type CompletionLayout,
  completionBatches,
  completionLayout,
  createCompletionScorer,
  type EncodedPrompt,
} from './policies/completion-batches.ts';
export { type CompletionLearnerOptions, createCompletionLearner } from './policies/completion-learner.ts';
export type { CompletionNumbers, CompletionStep, CompletionTrainer } from './policies/completion-step.ts';
export type { NamedLoss } from './policies/completion-trainer.ts';
export { createCompletionTrainer, minibatches } from './policies/completion-trainer.ts';
export { type Constraint, constrain, parseConstraints, withConstraints } from './policies/constraints.ts';
export { completionKl } from './policies/kl.ts';
export { createPolicyLearner, type PolicyLearner, type PolicyLearnerParts } from './policies/learner.ts';
export type { PolicyTrainingOptions } from './policies/options.ts';
export type { PolicyEvaluation } from './policies/policy-evaluation.ts';
export type {
  AnyPolicy,
  CompletionTokens,
  RemoteLoss,
  RemotePolicy,
  RemoteSampling,
  RemoteState,
  SampledTokens,
} from './policies/remote-policy.ts';
export { createRollouts, type LanguageRollout, type Rollouts } from './policies/rollouts.ts';
export { type PolicyInput, type PolicySetup, setUpPolicy } from './policies/setup.ts';
export type { TokenLossInputs } from './policies/token-loss.ts';
export { type PolicyResult, trainPolicy } from './policies/train.ts';
export { createGrpo, createGrpoAlgorithm, type GrpoOptions } from './policy-gradient/grpo.ts';
export {
  type GrpoLoss,
  type GrpoLossOptions,
  grpoLoss,
  type PolicyLoss,
  type PolicyLossTerms,
  type PolicyObjective,
  policyLosses,
  policyLossOf,
} from './policy-gradient/grpo-loss.ts';
export {
  createPareto,
  dominated,
  hypervolume,
  type ParetoLearner,
  type ParetoOptions,
  type ParetoPoint,
} from './policy-gradient/pareto.ts';
export type { ParetoPolicy } from './policy-gradient/pareto-train.ts';
export {
  createReinforce,
  createReinforceAlgorithm,
  createRloo,
  type ReinforceOptions,
  reinforceLoss,
} from './policy-gradient/reinforce.ts';
export { createLanguagePpo, type PpoLearner } from './ppo/learner.ts';
export type { LanguagePpoOptions } from './ppo/options.ts';
export { createPpoAlgorithm, ppoLoss } from './ppo/ppo.ts';
export type { Items } from './preferences/batch.ts';
export { type BcoOptions, bcoLoss, createBco } from './preferences/bco.ts';
export { type CpoLossOptions, type CpoOptions, cpoLoss, createCpo } from './preferences/cpo.ts';
export { type PreferenceData, type PreferenceItems, readPreferences } from './preferences/data.ts';
export { createDpo, type DpoOptions } from './preferences/dpo.ts';
export {
  type Divergence,
  type DpoLoss,
  type DpoLossOptions,
  divergences,
  dpoLoss,
  type LossPairs,
  type PairLoss,
  pairLosses,
} from './preferences/dpo-loss.ts';
export type { PreferenceEvaluation } from './preferences/evaluation.ts';
export { createKto, type KtoLossOptions, type KtoOptions, ktoLoss } from './preferences/kto.ts';
export {
  createPreferenceLearner,
  type PreferenceAlgorithm,
  type PreferenceLearner,
  type PreferenceLearnerParts,
} from './preferences/learner.ts';
export { type Completions, createLossProgram, type PreferenceLoss } from './preferences/loss.ts';
export { createOnlineDpo, createOnlineDpoAlgorithm, type OnlineDpoOptions } from './preferences/online-dpo.ts';
export type { PreferenceOptions } from './preferences/options.ts';
export { createOrpo, type OrpoOptions, orpoLoss } from './preferences/orpo.ts';
export { createPreferences, type PairInput, type RatedInput } from './preferences/setup.ts';
export { type PreferenceResult, trainPreferences } from './preferences/train.ts';
export { createPreferenceScorer, createPreferenceTrainer } from './preferences/trainer.ts';
export { evaluateSteps, type StepEvaluation } from './process/evaluation.ts';
export { processReward } from './process/model.ts';
export type { ProcessOptions } from './process/options.ts';
export { createProcess, type ProcessLearner, stepLoss, supervised } from './process/process.ts';
export { type Aggregate, aggregateScore, aggregates, stepRewards, stepsIn } from './process/steps.ts';
export { diagnoseLanguageRun } from './records.ts';
export type { OpenReward, RewardPart, Scores, StepReward } from './reward-functions/reward-function.ts';
export { bleu, fuzzyMatch, gleu, meteor, rouge, rougeL, textSimilarities } from './reward-functions/text-similarity.ts';
export { driftOf, evaluateReward, judgedPairs, type RewardEvaluation } from './reward-model/evaluation.ts';
export {
  createRankingTrainer,
  type Ranking,
  type RankingLossOptions,
  type RankingTrainer,
  rankingLoss,
} from './reward-model/loss.ts';
export { createRewardModel, createRewardScorer, scoredCompletion } from './reward-model/model.ts';
export type { RewardModelOptions } from './reward-model/options.ts';
export { gatherRankings, type RankingOptions, type Rankings } from './reward-model/rankings.ts';
export { trainReward } from './reward-model/record.ts';
export { createReward, type RewardLearner } from './reward-model/reward.ts';
export type { JudgmentRow } from './rewards/judge-reward.ts';
export { ensembleMembers, ensembleReward, mixedReward, modelReward, rewards } from './rewards/open.ts';
export {
  createLanguageLearner,
  type LanguageEvaluation,
  type LanguageLearner,
  type Sample,
} from './supervised/learner.ts';
export { createHeldOutLoss, createLikelihood, type HeldOutLoss, type Likelihood } from './supervised/likelihood.ts';
export { createPretrain, type PretrainLearner, type PretrainOptions } from './supervised/pretrain.ts';
export { createTrainingRows, datasetRows, packExamples, type TrainingRows } from './supervised/rows.ts';
export { createSft, type SftLearner, type SftOptions } from './supervised/sft.ts';
export { type LanguageResult, trainLanguageModel } from './supervised/train.ts';
export type { EndpointSettings } from './training/endpoint.ts';
export {
  checkSameTokens,
  createLanguagePolicy,
  type LanguagePolicy,
  type LanguagePolicyOptions,
} from './training/policy.ts';
export type { CallSettings } from './training/requests.ts';
export type { CompletionRow, SampleCompletion, SamplePrompt } from './training/samples.ts';
export { adamw, evaluationIsDue, itemsOfStep, rates } from './training/steps.ts';
export type { TrainedModel } from './training/train-model.ts';
export { reviewComparisons } from './world/comparisons.ts';
export { reviewReward } from './world/rewards.ts';
export { type LanguageWorld, worlds } from './world/worlds.ts';
