/** A model's predictions for a text, token by token. */
import { input } from '../engine/graph.ts';
import { tokensOf } from '../engine/ops/attention.ts';
import { sub } from '../engine/ops/elementwise.ts';
import { logSoftmax } from '../engine/ops/normalize.ts';
import { slice } from '../engine/ops/shape.ts';
import { trace } from '../engine/program.ts';
import { Value } from '../engine/value.ts';
import { HeedError } from '../error.ts';
import { decoder, logitsOf, packedAttention } from '../nn/decoder.ts';
import { type DecoderConfig, headName } from '../nn/decoder-config.ts';

/** What a model predicts at each token of a text. */
export interface TokenScores {
  /** log p of each token after the first, given the tokens before it: [tokens − 1]. */
  logprobs: number[];
  /** Number of likelier tokens, for each token after the first. */
  ranks: number[];
  /** The likeliest next token after each token, including the last: [tokens]. */
  likeliest: { id: number; logprob: number }[];
  /** Logits after each token, [tokens][vocabulary]; only if requested. */
  logits?: Float32Array[];
}

const CHUNK = 64; // positions whose logits are in memory at a time

/**
 * Scores the tokens of a text.
 *
 * @throws HeedError for no tokens, more tokens than the model has positions, and ids outside its vocabulary.
 */
export function scoreTokens(
  config: DecoderConfig,
  weights: Readonly<Record<string, Value>>,
  ids: readonly number[],
  { logits: withLogits = false } = {},
): TokenScores {
  const { vocabularySize, hiddenSize, maxPositions } = config;
  const time = ids.length;
  if (time === 0) throw new HeedError('no tokens to score', { hint: 'pass a text, or ids' });
  if (time > maxPositions) {
    throw new HeedError(`${time} tokens, but the model has ${maxPositions} positions`, { hint: 'shorten the text' });
  }
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize);
  if (wrong !== undefined) {
    throw new HeedError(`the model has no token ${wrong}: expected whole numbers from 0 to ${vocabularySize - 1}`, {
      hint: 'were the ids made by the tokenizer of another model?',
    });
  }
  const states = hiddenStates(config, weights, ids);
  const scores: TokenScores = { logprobs: [], ranks: [], likeliest: [], ...(withLogits && { logits: [] }) };
  const head = trace((g) => {
    const rows = input(g, 'states', ['rows', hiddenSize]);
    const logits = logitsOf(config, rows, input(g, headName(config), [vocabularySize, hiddenSize]));
    return { logits, logSumExp: sub(slice(logits, 1, 0, 1), slice(logSoftmax(logits), 1, 0, 1)) };
  });
  try {
    for (let from = 0; from < time; from += CHUNK) {
      const rows = Math.min(CHUNK, time - from);
      const part = Value.of(
        'float32',
        [rows, hiddenSize],
        states.subarray(from * hiddenSize, (from + rows) * hiddenSize),
      );
      const { logits, logSumExp } = head.run({ ...weights, states: part }) as Record<string, Float32Array>;
      part[Symbol.dispose]();
      for (let row = 0; row < rows; row++) {
        const mine = logits.slice(row * vocabularySize, (row + 1) * vocabularySize);
        addScores(scores, mine, logSumExp[row], ids[from + row + 1]);
      }
    }
  } finally {
    head[Symbol.dispose]();
  }
  return scores;
}

function hiddenStates(
  config: DecoderConfig,
  weights: Readonly<Record<string, Value>>,
  ids: readonly number[],
): Float32Array {
  const time = ids.length;
  const program = trace((g) => {
    const [tokens, positions, segments] = ['ids', 'positions', 'segments'].map((name) =>
      input(g, name, [1, time], 'int32'),
    );
    const attend = packedAttention(config, { segments, positions, length: time });
    return { states: tokensOf(decoder(config, { ids: tokens, positions, attend })) };
  });
  try {
    const places = ids.map((_, i) => i);
    return program.run({ ...weights, ids, positions: places, segments: places.map(() => 0) }).states as Float32Array;
  } finally {
    program[Symbol.dispose]();
  }
}

function addScores(scores: TokenScores, logits: Float32Array, logSumExp: number, next: number | undefined): void {
  let id = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[id]) id = i;
  scores.likeliest.push({ id, logprob: logits[id] - logSumExp });
  scores.logits?.push(logits);
  if (next === undefined) return;
  scores.logprobs.push(logits[next] - logSumExp);
  let rank = 0;
  for (let i = 0; i < logits.length; i++) if (logits[i] > logits[next]) rank++;
  scores.ranks.push(rank);
}
