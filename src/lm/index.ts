export { type Adapter, readAdapter, writeAdapter } from './adapter-files.ts';
export { renderAssistantSpans } from './assistant-spans.ts';
export { type BpeOptions, type TokenizerJson, trainBpe, wordLevelTokenizer } from './bpe-trainer.ts';
export { encodeChat } from './chat-template.ts';
export { type Checkpoint, loadCheckpoint, type SaveOptions, saveCheckpoint } from './checkpoint.ts';
export { type Constrainer, createConstrainer } from './constrain.ts';
export type { GeneratedCompletion, GeneratedToken, SequenceOptions } from './continuous-batch.ts';
export { embeddedModel } from './embedded.ts';
export { exportOnnx } from './export.ts';
export {
  createGenerator,
  type GenerateOptions,
  type GenerateStep,
  type Generator,
  type GeneratorOptions,
} from './generate.ts';
export {
  createGenerationQueue,
  type GenerationQueue,
  type QueueCounts,
  type QueuedToken,
  type QueueOptions,
  type SubmitOptions,
} from './generation-queue.ts';
export { hubName, type Pulled, type PullOptions, pull, resolveDataset, resolveModel } from './hub.ts';
export { type CallableTool, type CallsOptions, callsGrammar } from './json-grammar/calls.ts';
export { anyObjectGrammar, type GrammarState, type JsonGrammar, jsonGrammar } from './json-grammar.ts';
export { type LoraAdapter, loadAdapter, saveAdapter } from './lora.ts';
export type { CompletionOptions, Prompt } from './model.ts';
export {
  createModel,
  loadModel,
  loadOutline,
  type Model,
  type ModelData,
  type ModelOutline,
  saveModel,
  type TokenLogprob,
} from './model.ts';
export {
  createPackedScorer,
  createPackedTrainer,
  type PackedLoss,
  type PackedScorer,
  type PackedTrainer,
  type Reading,
  scoresOf,
} from './packed-program.ts';
export { type Example, type PackedBatch, packedBatch, packSequences } from './packing.ts';
export { type ChatMessage, type MessagePart, type RenderOptions, renderChat } from './render-chat.ts';
export { type Context, chooseToken, processLogits, type Sampler, type Sampling, samplers } from './sampling.ts';
export {
  checkDraftTokens,
  type DraftModel,
  type SpeculateOptions,
  type Speculation,
  type SpeculationRates,
  speculationOf,
} from './speculate.ts';
export {
  createTokenScorer,
  type ScoreOptions,
  scoreTokens,
  type TokenScorer,
  type TokenScores,
} from './token-scores.ts';
export { loadTokenizer, saveTokenizer, type Tokenizer, tokenizerFrom } from './tokenizer.ts';
