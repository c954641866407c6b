export { encodeRow, type Loss, losses } from './encode.ts';
export { createExamples, type Examples, gatherExamples } from './examples.ts';
export {
  createLanguageLearner,
  type LanguageEvaluation,
  type LanguageLearner,
  type LanguageStep,
  type Sample,
  type SamplePrompt,
} from './learner.ts';
export { createHeldOutLoss, createLikelihood, type HeldOutLoss, type Likelihood } from './likelihood.ts';
export {
  createPretrain,
  type PretrainInput,
  type PretrainLearner,
  type PretrainOptions,
  pretrain,
  pretrainSchema,
} from './pretrain.ts';
export { languageReport } from './report.ts';
export { createRows, datasetRows, packExamples, type Rows } from './rows.ts';
export { createSft, type SftInput, type SftLearner, type SftOptions, type SftParts, sft, sftSchema } from './sft.ts';
export { type LanguageResult, type SampleRow, trainLanguageModel } from './train.ts';
