/**
 * Generation from a decoder. Prompts wait in a queue, `batch` of them are completed side by side, and when one ends the
 * next takes its place (continuous batching, Yu et al. 2022). Each sequence has its own random numbers, so its text
 * does not depend on its neighbors, except through rounding: products over other numbers of rows are summed in another
 * order.
 *
 * Active sequences occupy the first rows of the cache. When one ends, the last takes its row. So a step never computes
 * unused rows, and new prompts enter together.
 */
import { z } from 'zod';
import type { Value } from '../engine/value.ts';
import { HeedError } from '../error.ts';
import { type CachedDecoderOptions, type CachedStep, createCachedDecoder } from '../nn/decoder-cache.ts';
import type { DecoderConfig } from '../nn/decoder-config.ts';
import { type Random, random } from '../random.ts';
import { type CompletionText, decodeCompletion, streamCompletion } from './answer-text.ts';
import { createDecoderRows, createRunner, type DecoderRows } from './rows.ts';
import { chooseToken, samplingSchema } from './sampling.ts';
import type { Tokenizer } from './tokenizer.ts';

export const generateSchema = samplingSchema.extend({
  maxTokens: z.number().int().min(1).default(128).describe('maximum number of new tokens'),
  batch: z.number().int().min(1).default(32).describe('number of sequences generated at once'),
  seed: z.number().int().min(0).default(0).describe('seed of the sampling'),
});

/** Options of `Generator.generate`: sampling, batch size, and what ends a completion. */
export interface GenerateOptions extends Partial<z.output<typeof generateSchema>> {
  /** Ids that end a completion: EOS, or several. */
  ends?: readonly number[];
  /** Texts that end a completion and are not part of it. They need the tokenizer. */
  stop?: readonly string[];
  /** Writes the text of completions. */
  tokenizer?: Pick<Tokenizer, 'decode' | 'decodeStream'>;
  /** Also return text token by token, which costs some 20 µs a token. */
  stream?: boolean;
  /** Ends the iteration after the current step. */
  signal?: AbortSignal;
}

/** A finished completion of a prompt. */
export interface GeneratedCompletion {
  /** Index of the prompt. */
  index: number;
  /** Ids of its tokens, including the one that ended it. */
  ids: number[];
  /** log p of each token under the model, at temperature 1 and unprocessed. */
  logprobs: number[];
  /** log p of each token under the distribution it was drawn from; 0 if the likeliest token is taken. */
  processedLogprobs: number[];
  /** Why it ended: an end token, a stop string, or the limit on tokens or positions. */
  finish: 'eos' | 'stop' | 'length';
  /** The text after the prompt, without special tokens, up to the stop string. Undefined without a tokenizer. */
  text: string | undefined;
}

/** A token of an unfinished completion. */
export interface GeneratedToken {
  /** Index of the prompt. */
  index: number;
  /** The token's id. */
  id: number;
  /** log p under the model, at temperature 1 and unprocessed. */
  logprob: number;
  /** log p under the distribution it was drawn from; 0 if the likeliest token is taken. */
  processedLogprob: number;
  /** Text that became final with this token; undefined unless streamed. */
  text: string | undefined;
}

/** The result of one step: a token for each active sequence, and the completions that ended. */
export interface GenerateStep {
  /** One token for each unfinished sequence. */
  tokens: GeneratedToken[];
  /** Completions that this step finished. */
  completions: GeneratedCompletion[];
}

/** A compiled decoder that completes prompts. Holds native memory: dispose of it. */
export interface Generator {
  /**
   * Completes prompts (ids, with their BOS) step by step, until all have ended or the signal aborts.
   *
   * @throws HeedError if a prompt is empty, longer than the model's positions, or has ids outside the vocabulary.
   */
  generate(prompts: readonly ArrayLike<number>[], options?: GenerateOptions): AsyncGenerator<GenerateStep, void>;
  /** All completions, in the order of the prompts. Throws as `generate` does, and the signal's reason. */
  complete(prompts: readonly ArrayLike<number>[], options?: GenerateOptions): Promise<GeneratedCompletion[]>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** Compiles a decoder for generation. `weights` are read at each step, so they may change between steps. */
export function createGenerator(
  config: DecoderConfig,
  weights: Readonly<Record<string, Value>>,
  options: CachedDecoderOptions = {},
): Generator {
  const decoder = createCachedDecoder(config, weights, options);
  const size = Object.values(weights).reduce((sum, { data }) => sum + data.length, 0);
  // the cache and the steps bound to it are reused: new ones cost as much as reading a prompt
  let idle: DecoderRows | undefined;
  let released = false;
  const takeRows = (batch: number): DecoderRows => {
    const rows = idle && idle.batch >= batch ? idle : createDecoderRows(decoder, batch);
    if (rows === idle) idle = undefined;
    return rows;
  };
  const giveBack = (rows: DecoderRows) => {
    idle?.[Symbol.dispose]();
    idle = released ? undefined : rows;
    if (released) rows[Symbol.dispose]();
  };
  const generator: Generator = {
    generate: (prompts, input = {}) => generate({ takeRows, giveBack, config, size }, prompts, input),
    async complete(prompts, input = {}) {
      const all: GeneratedCompletion[] = new Array(prompts.length);
      for await (const { completions } of generator.generate(prompts, input)) {
        for (const completion of completions) all[completion.index] = completion;
      }
      input.signal?.throwIfAborted();
      return all;
    },
    [Symbol.dispose]() {
      released = true;
      idle?.[Symbol.dispose]();
      idle = undefined;
      decoder[Symbol.dispose]();
    },
  };
  return generator;
}

interface Parts {
  takeRows(batch: number): DecoderRows;
  giveBack(rows: DecoderRows): void;
  config: DecoderConfig;
  /** Number of parameters. */
  size: number;
}

/** An active sequence. All of its tokens except the last are in the cache. */
interface Sequence {
  /** Prompt and completion, with room for the longest possible completion. */
  tokens: Int32Array;
  length: number;
  prompt: number;
  draws: Random;
  stream: CompletionText | undefined;
  completion: GeneratedCompletion;
  ended: boolean;
}

const cached = ({ length }: Sequence): number => length - 1;

async function* generate(
  { takeRows, giveBack, config, size }: Parts,
  prompts: readonly ArrayLike<number>[],
  options: GenerateOptions,
): AsyncGenerator<GenerateStep, void> {
  const settings = generateSchema.parse(options);
  const { ends = [], stop = [], tokenizer, stream = false, signal } = options;
  if (!tokenizer && (stream || stop.length > 0)) {
    throw new HeedError('completions as text need a tokenizer', { hint: "pass the model's tokenizer" });
  }
  for (const [i, prompt] of prompts.entries()) checkPrompt(prompt, i, config);
  if (prompts.length === 0) return;

  // the last token of a completion needs no position: nothing follows it
  const longest = ({ length }: ArrayLike<number>) => Math.min(length + settings.maxTokens, config.maxPositions + 1);
  const batch = Math.min(settings.batch, prompts.length);
  const rows = takeRows(batch);
  const most = prompts.reduce((most, prompt) => Math.max(most, longest(prompt) - 1), 0);
  const run = createRunner(size);
  const working: Sequence[] = [];

  const begin = (index: number): Sequence => {
    const prompt = prompts[index];
    const tokens = new Int32Array(longest(prompt));
    tokens.set(prompt);
    return {
      tokens,
      length: prompt.length,
      prompt: prompt.length,
      draws: random(settings.seed, 'sample', index),
      stream:
        tokenizer && (stream || stop.length > 0) ? streamCompletion(tokenizer, Array.from(prompt), stop) : undefined,
      completion: { index, ids: [], logprobs: [], processedLogprobs: [], finish: 'length', text: undefined },
      ended: false,
    };
  };

  /** Chooses each sequence's next token from its row of the step. */
  const choose = (
    { logits, logSumExp }: CachedStep,
    sequences: readonly Sequence[],
    rowOf = (sequence: number) => sequence,
  ) =>
    sequences.map((sequence, i): GeneratedToken => {
      const row = rowOf(i);
      const { vocabularySize } = config;
      const { tokens, length, prompt, completion } = sequence;
      const mine = logits.subarray(row * vocabularySize, (row + 1) * vocabularySize);
      const context = { tokens: tokens.subarray(0, length), generated: length - prompt, ends };
      const choice = chooseToken(mine, settings, context, sequence.draws, logSumExp[row]);
      const { token: id, logprob, processedLogprob } = choice;
      tokens[sequence.length++] = id;
      completion.ids.push(id);
      completion.logprobs.push(logprob);
      completion.processedLogprobs.push(processedLogprob);
      const isEnd = ends.includes(id);
      let text = isEnd ? '' : sequence.stream?.push(id);
      if (isEnd) completion.finish = 'eos';
      else if (sequence.stream?.stopped) completion.finish = 'stop';
      sequence.ended = completion.finish !== 'length' || sequence.length === tokens.length;
      if (sequence.ended) {
        if (sequence.stream) text += sequence.stream.end();
        const ids = isEnd ? completion.ids.slice(0, -1) : completion.ids;
        completion.text =
          sequence.stream?.text ??
          (tokenizer && decodeCompletion(tokenizer, Array.from(tokens.subarray(0, prompt)), ids));
      }
      return { index: completion.index, id, logprob, processedLogprob, text: stream ? text : undefined };
    });

  /** Reads prompts, equal ones once: their part of the cache is copied. */
  const admit = async (sequences: readonly Sequence[]): Promise<GeneratedToken[]> => {
    const time = Math.max(...sequences.map(({ length }) => length));
    rows.reserve(time, most, working.map(cached));
    const rowOf = new Map<string, number>();
    const [read, copied]: Sequence[][] = [[], []];
    const sources: number[] = [];
    for (const sequence of sequences) {
      const key = sequence.tokens.subarray(0, sequence.length).join();
      const row = rowOf.get(key);
      if (row === undefined) rowOf.set(key, read.push(sequence) - 1);
      else sources[copied.push(sequence) - 1] = row;
    }
    const first = working.length;
    const step = rows.step(first, read.length, time);
    read.forEach(({ tokens, length }, row) => {
      step.fill(row, tokens.subarray(0, length), 0);
    });
    await run(step, read.length * time);
    copied.forEach(({ length }, i) => {
      rows.move(first + sources[i], length, first + read.length + i);
    });
    working.push(...read, ...copied);
    return choose(step, [...read, ...copied], (i) => (i < read.length ? i : sources[i - read.length]));
  };

  const goOn = async (): Promise<GeneratedToken[]> => {
    rows.reserve(Math.max(...working.map(({ length }) => length)), most, working.map(cached));
    const step = rows.step(0, working.length, 1);
    working.forEach(({ tokens, length }, row) => {
      step.fill(row, tokens.subarray(length - 1, length), length - 1);
    });
    await run(step, working.length);
    return choose(step, working);
  };

  /** Removes sequences that have ended; the last rows take their places. */
  const retire = (): GeneratedCompletion[] => {
    const ended = working.filter((sequence) => sequence.ended);
    for (const sequence of ended) {
      const row = working.indexOf(sequence);
      const last = working.pop()!;
      if (last === sequence) continue;
      rows.move(working.length, cached(last), row);
      working[row] = last;
    }
    return ended.map(({ completion }) => completion);
  };

  try {
    for (let next = 0; (next < prompts.length || working.length > 0) && !signal?.aborted; ) {
      const incoming = Array.from({ length: Math.min(batch - working.length, prompts.length - next) }, () =>
        begin(next++),
      );
      const tokens: GeneratedToken[] = [];
      if (incoming.length === 0) tokens.push(...(await goOn()));
      for (const group of ofLikeLength(incoming)) tokens.push(...(await admit(group)));
      yield { tokens, completions: retire() };
    }
  } finally {
    giveBack(rows);
  }
}

function checkPrompt(prompt: ArrayLike<number>, index: number, { maxPositions, vocabularySize }: DecoderConfig): void {
  if (prompt.length === 0) {
    throw new HeedError(`prompt ${index} is empty: a model needs at least one token`, {
      hint: 'begin it with the BOS token',
    });
  }
  if (prompt.length > maxPositions) {
    throw new HeedError(`prompt ${index} has ${prompt.length} tokens, but the model has ${maxPositions} positions`, {
      hint: 'shorten it',
    });
  }
  for (let i = 0; i < prompt.length; i++) {
    if (Number.isInteger(prompt[i]) && prompt[i] >= 0 && prompt[i] < vocabularySize) continue;
    throw new HeedError(
      `token ${i} of prompt ${index} is ${prompt[i]}: expected a whole number from 0 to ${vocabularySize - 1}`,
      { hint: 'the prompt was made by the tokenizer of another model' },
    );
  }
}

const MOST_TOKENS = 2 ** 14; // tokens whose activations are in memory at once

/** Groups of prompts that can be read together without much padding or memory, the longest first. */
function ofLikeLength(sequences: readonly Sequence[]): Sequence[][] {
  const groups: Sequence[][] = [];
  for (const sequence of [...sequences].sort((a, b) => b.length - a.length)) {
    const group = groups.at(-1);
    const longest = group?.[0].length ?? 0;
    if (group && (group.length + 1) * longest <= MOST_TOKENS && sequence.length >= 0.75 * longest - 16)
      group.push(sequence);
    else groups.push([sequence]);
  }
  return groups;
}
