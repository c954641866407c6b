export { groupAdvantages, leaveOneOut, normaliseThenSum, type Scale, standardise } from './advantages.ts';
export { type AnswerOptions, createAnswerLearner } from './answer-learner.ts';
export { type AnswerNumbers, type AnswerTrainer, createAnswerTrainer, minibatches } from './answer-trainer.ts';
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
export { type BestOfNResult, bestOfNReport, trainBestOfN } from './best-of-n-train.ts';
export { type CpoInput, type CpoLossOptions, type CpoOptions, cpo, cpoLoss, cpoSchema, createCpo } from './cpo.ts';
export { createDpo, type DpoInput, type DpoOptions, dpo, dpoSchema } from './dpo.ts';
export { type Divergence, type DpoLoss, type DpoLossOptions, divergences, dpoLoss, dpoLosses } from './dpo-loss.ts';
export { encodeRow, type Loss, losses } from './encode.ts';
export { createExamples, type Examples, gatherExamples } from './examples.ts';
export { createGrpo, createGrpoAlgorithm, type GrpoInput, type GrpoOptions, grpo, grpoSchema } from './grpo.ts';
export { type GrpoLoss, type GrpoLossOptions, grpoInputs, grpoLoss, grpoLosses, tokenWeights } from './grpo-loss.ts';
export { createKto, type KtoInput, type KtoLossOptions, type KtoOptions, kto, ktoLoss, ktoSchema } from './kto.ts';
export {
  createLanguageLearner,
  type LanguageEvaluation,
  type LanguageLearner,
  type LanguageStep,
  type Sample,
  type SamplePrompt,
} from './learner.ts';
export { createHeldOutLoss, createLikelihood, type HeldOutLoss, type Likelihood } from './likelihood.ts';
export { createOrpo, type OrpoInput, type OrpoOptions, orpo, orpoLoss, orpoSchema } from './orpo.ts';
export { encodePair, gatherPairs, type PairOptions, type Pairs } from './pairs.ts';
export { type Change, type Plan, plan } from './plan.ts';
export { type PlanAlgorithm, type PlanInput, type PlanOptions, planAlgorithms, planSchema } from './plan-options.ts';
export type { Role } from './plan-roles.ts';
export { type ModelShape, typicalShape } from './plan-shapes.ts';
export { checkSameTokens, createPolicy, type Policy, type PolicyOptions } from './policy.ts';
export type { Alert } from './policy-alerts.ts';
export {
  createPolicyLearner,
  type PolicyAlgorithm,
  type PolicyEvaluation,
  type PolicyLearner,
  type PolicyLearnerParts,
  type PolicyStep,
  policyOptimizer,
} from './policy-learner.ts';
export { type PolicyTrainingOptions, policyTrainingSchema } from './policy-options.ts';
export { policyReport } from './policy-report.ts';
export { type PolicyParts, type PolicySetup, setUpPolicy } from './policy-setup.ts';
export { type PolicyResult, type PolicySampleRow, trainPolicy } from './policy-train.ts';
export { createPpoAlgorithm, ppoLoss } from './ppo.ts';
export { createPpo, type PpoLearner, type PpoParts, ppo } from './ppo-learner.ts';
export { type PpoInput, type PpoOptions, ppoSchema } from './ppo-options.ts';
export type { Items } from './preference-batch.ts';
export { type PreferenceData, type PreferenceItems, readPreferences } from './preference-data.ts';
export type { PreferenceEvaluation } from './preference-evaluation.ts';
export {
  createPreferenceLearner,
  type PreferenceAlgorithm,
  type PreferenceLearner,
  type PreferenceLearnerParts,
  type PreferenceStep,
} from './preference-learner.ts';
export { type Answers, createLossProgram, type PreferenceLoss } from './preference-loss.ts';
export { type PreferenceOptions, preferenceSchema } from './preference-options.ts';
export { offlinePreferenceReport } from './preference-report.ts';
export { createPreferences, type PreferenceParts } from './preference-setup.ts';
export { type PreferenceResult, type PreferenceSampleRow, trainPreferences } from './preference-train.ts';
export { createPreferenceScorer, createPreferenceTrainer } from './preference-trainer.ts';
export {
  createPretrain,
  type PretrainInput,
  type PretrainLearner,
  type PretrainOptions,
  pretrain,
  pretrainSchema,
} from './pretrain.ts';
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
export { languageReport } from './report.ts';
export { createRest, createRestAlgorithm, type RestInput, type RestOptions, rest, restSchema } from './rest.ts';
export { createReward, type RewardLearner, type RewardParts, type RewardStep, reward } from './reward.ts';
export type { CallSettings, RewardFunction } from './reward-call.ts';
export { gatherRankings, type RankingOptions, type Rankings } from './reward-data.ts';
export { driftOf, evaluateReward, judgedPairs, type RewardEvaluation, wilson } from './reward-evaluation.ts';
export { type Judgement, type JudgementRow, judgementSchema, judgeReward } from './reward-judgement.ts';
export {
  createRankingTrainer,
  type Ranking,
  type RankingLossOptions,
  type RankingTrainer,
  rankingLoss,
} from './reward-loss.ts';
export {
  createRewardModel,
  createRewardScorer,
  loadRewardModel,
  type RewardModel,
  saveRewardModel,
  scoredAnswer,
} from './reward-model.ts';
export { ensembleReward, mixedReward, modelReward, openReward, reviewReward } from './reward-open.ts';
export { type RewardInput, type RewardOptions, rewardSchema } from './reward-options.ts';
export { evaluationReport, rewardReport } from './reward-report.ts';
export type { Answer, Reward } from './reward-source.ts';
export { type RewardResult, trainReward } from './reward-train.ts';
export { reviewComparisons } from './reward-world.ts';
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
} from './rollouts.ts';
export { createRows, datasetRows, packExamples, type Rows } from './rows.ts';
export { createSft, type SftInput, type SftLearner, type SftOptions, type SftParts, sft, sftSchema } from './sft.ts';
export { type LanguageResult, type SampleRow, trainLanguageModel } from './train.ts';
