/**
 * Bytes that programs take while they run, from a model's shape: what src/nn/decoder.ts keeps for the gradient, logits as
 * src/nn/label-log-probabilities.ts makes them, the cache of src/nn/decoder-cache.ts. docs/reference/plan.md has the formulas in
 * words, and how far they were off.
 */
import type { DecoderConfig } from '../../nn/index.ts';

const FLOAT = 4; // bytes: heed computes in float32, whatever a model's files hold

/** Queries whose scores are made together, from twice as many on (src/engine/ops/attention.ts). */
const BLOCK = 128;

/** Logits made at once (src/nn/label-log-probabilities.ts). */
const LOGITS_AT_ONCE = 1 << 23;

interface BatchShape {
  rows: number;
  /** Tokens of a row. */
  time: number;
  /** Tokens whose logits are made; 0 for a scalar head. */
  labels: number;
}

interface TrainingShape extends BatchShape {
  /** Of adapters; 0 where all weights are trained. */
  rank: number;
  checkpointLayers: boolean;
}

/** Floats of a layer and token that wait for the gradient. */
function keptFloats(config: DecoderConfig, { time, rank }: TrainingShape): number {
  const { hiddenSize, feedForwardSize, queryKeyNorm, gated } = config;
  const { wide, keysAndValues, scores, narrow } = attentionFloats(config, time);
  // what enters the layer and both norms leave, and the sum between; queries, and what the heads make, as they lie in both orders
  const attention = 4 * hiddenSize + 3 * wide + keysAndValues + scores + (queryKeyNorm ? wide + narrow : 0);
  const adapters = rank * (gated ? 7 : 6);
  return attention + feedForwardSize * (gated ? 2 : 1) + adapters;
}

/** By token: each block of queries has keys, values and scores up to its end of its own. */
function attentionFloats({ heads, keyValueHeads, headSize }: DecoderConfig, time: number) {
  const wide = heads * headSize;
  const narrow = keyValueHeads * headSize;
  const blocks = time < 2 * BLOCK ? 1 : Math.ceil(time / BLOCK);
  const seen = blocks === 1 ? time : (time + BLOCK) / 2;
  return { wide, narrow, keysAndValues: narrow * (blocks + 1), scores: heads * seen };
}

/** A step's activations, and what its logits and their gradients take. */
export function trainingBytes(config: DecoderConfig, shape: TrainingShape): { activations: number; logits: number } {
  const { rows, time, rank, checkpointLayers } = shape;
  const { hiddenSize, feedForwardSize, layers } = config;
  const tokens = rows * time;
  const kept = keptFloats(config, shape);
  const all = checkpointLayers ? layers * hiddenSize + kept : layers * kept;
  // the gradient's way through a layer: the feed-forward made again, and gradients of its widest tensors
  const passing = 4 * (feedForwardSize + hiddenSize);
  const masks = 2 * tokens * time;
  return {
    activations: FLOAT * (tokens * (all + passing) + masks),
    logits: FLOAT * logitFloats(config, shape.labels, rank === 0),
  };
}

/** Of all labels one set waits, of a chunk two more; beside a sum of the output layer's gradients, the next part of it. */
function logitFloats({ vocabularySize, hiddenSize }: DecoderConfig, labels: number, headTrained: boolean): number {
  if (labels === 0) return 0;
  const chunks = Math.ceil(labels / Math.max(1, Math.floor(LOGITS_AT_ONCE / vocabularySize)));
  const chunk = Math.ceil(labels / chunks);
  const sums = headTrained && chunks > 1 ? 2 * vocabularySize * hiddenSize : 0;
  return (labels + 2 * chunk) * vocabularySize + sums;
}

/** A pass without gradients: one layer's widest moment, and the logits of one chunk. */
export function scoringBytes(config: DecoderConfig, { rows, time, labels }: BatchShape): number {
  const { hiddenSize, feedForwardSize, vocabularySize } = config;
  const { wide, keysAndValues, scores } = attentionFloats(config, time);
  const widest = Math.max(2 * wide + keysAndValues + 2 * scores, 3 * feedForwardSize);
  const logits = 2 * Math.min(labels * vocabularySize, LOGITS_AT_ONCE);
  return FLOAT * (rows * time * (2 * hiddenSize + widest) + 2 * rows * time * time + logits);
}

/** Tokens of prompts that are read at once (src/lm/generate.ts), and room that a cache begins with (src/lm/rows.ts). */
const PROMPT_TOKENS = 1 << 14;
const FIRST_ROOM = 256;

interface GenerationShape {
  /** Sequences side by side. */
  batch: number;
  /** Tokens of a prompt, and of an answer. */
  prompt: number;
  maxTokens: number;
}

/** The keys and values of earlier tokens; and what it takes to read prompts, with the logits behind them. */
export function generationBytes(config: DecoderConfig, shape: GenerationShape): { cache: number; reading: number } {
  const { batch, prompt, maxTokens } = shape;
  const { layers, heads, keyValueHeads, headSize, hiddenSize, feedForwardSize, vocabularySize } = config;
  const stored = Math.ceil(headSize / 8) * 8;
  const room = prompt + maxTokens;
  // a cache that grew was copied from one of at most half its size
  const grown = room > FIRST_ROOM ? 1.5 : 1;
  const cache = 2 * layers * batch * keyValueHeads * stored * room * grown;
  const read = Math.max(prompt, Math.min(batch * prompt, PROMPT_TOKENS));
  const attention = 2 * (heads + keyValueHeads) * headSize + heads * prompt;
  const layer = 2 * hiddenSize + Math.max(attention, 3 * feedForwardSize);
  return { cache: FLOAT * cache, reading: FLOAT * (read * layer + 3 * batch * vocabularySize) };
}
