/**
 * Rollouts: prompts answered by the policy as it stands, with log-probabilities under it and under the reference, and what
 * the answers are worth. What every on-policy algorithm begins with.
 */
import type { Row } from '../../data/index.ts';
import type { Tensor } from '../../engine/index.ts';
import { HeedError } from '../../error.ts';
import { decodeCompletion } from '../../lm/answer-text.ts';
import { createGenerator } from '../../lm/generate.ts';
import { createPackedScorer, type PackedOptions, type Reading } from '../../lm/packed-program.ts';
import { type Example, type PackedPart, type PackingOptions, packedBatches, rowLengths } from '../../lm/packing.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import type { DecoderConfig } from '../../nn/index.ts';
import {
  type Completion,
  explained,
  type NamedScores,
  type Reward,
  type RewardPart,
  type StepReward,
} from '../reward-functions/reward-function.ts';
import type { LanguagePolicy, Weights } from '../training/policy.ts';

export interface EncodedPrompt {
  ids: readonly number[];
  text: string;
  /** The dataset's row that it is from. */
  row?: Row;
}

export interface LanguageRollout {
  /** Those to one prompt stand side by side. */
  answers: readonly Completion[];
  /** log p of each answer's tokens, at the temperature that they were drawn at: under the policy that drew them, */
  logProbs: readonly Float32Array[];
  /** and under the reference. */
  referenceLogProbs: readonly Float32Array[];
  /** What each answer is worth. */
  scores: Float64Array;
  /** Of each answer, what its steps add to that, each at the token that ends it. */
  steps?: readonly (readonly TokenReward[])[];
  /** What scores are the sum of. */
  parts?: readonly RewardPart[];
  /** How far an ensemble's members disagree on each answer. */
  deviations?: ArrayLike<number>;
  /** Rewards that are no part of them, but are asked for. */
  others?: readonly NamedScores[];
}

export interface TokenReward {
  /** Which token of the answer. */
  at: number;
  reward: number;
}

/** How answers are laid out for programs. */
export type AnswerLayout = PackingOptions;

/** Tokens of a row that settings count, but where an answer with its prompt has more. */
const ROW = 256;

/** For so many answers to each prompt. @throws HeedError where a prompt leaves an answer no room. */
export function answerLayout(
  { config, tokenizer }: LanguagePolicy['model'],
  prompts: readonly EncodedPrompt[],
  { rows, maxTokens, answers = 1 }: { rows: number; maxTokens: number; answers?: number },
): AnswerLayout {
  const longest = prompts.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  if (longest + maxTokens > config.maxPositions) {
    throw new HeedError(
      `The longest prompt has ${longest} tokens: with an answer of ${maxTokens}, that is more than the ${config.maxPositions} positions that the model knows.`,
      { hint: 'Leave long prompts out, or give a lower --maxTokens.' },
    );
  }
  const lengths = rowLengths(longest + maxTokens, longest - 1 + answers * (maxTokens + 1));
  return { lengths, tokens: rows * Math.max(ROW, longest + maxTokens), padding: tokenizer.pad ?? 0 };
}

/**
 * Answers packed into batches, their prompts once for all answers to one, with the answers' tokens as labels. With `states`, states
 * are read in their place: those that each token is told from and, where `states` is "last too", that behind the last token.
 */
export function answerBatches(
  answers: readonly Completion[],
  layout: AnswerLayout,
  states?: 'before' | 'last too',
): PackedPart[] {
  return packedBatches(
    answers.map((answer) => exampleOf(answer, states)),
    layout,
  );
}

function exampleOf({ prompt, response }: Completion, states?: 'before' | 'last too'): Example {
  const ids = [...prompt, ...response];
  const prefix = prompt.length - 1;
  if (!states) return { ids, learn: new Uint8Array(ids.length).fill(1, prompt.length), prefix };
  const count = response.length + (states === 'last too' ? 1 : 0);
  return { ids, prefix, at: Array.from({ length: count }, (_, i) => prompt.length - 1 + i) };
}

/** Numbers of the members, one after another: as a batch's labels take them. */
export function inOrder(numbers: readonly Float32Array[], members: readonly number[]): Float32Array {
  const out = new Float32Array(members.reduce((sum, i) => sum + numbers[i].length, 0));
  let start = 0;
  for (const i of members) {
    out.set(numbers[i], start);
    start += numbers[i].length;
  }
  return out;
}

interface AnswerScorer {
  /** Numbers for each answer's tokens: their log-probabilities, or what `read` makes of the states. */
  run(answers: readonly Completion[]): Float32Array[];
  [Symbol.dispose](): void;
}

/** Numbers for answers' tokens without gradients. The weights may change between runs. */
export function createAnswerScorer(
  config: DecoderConfig,
  weights: Weights,
  layout: AnswerLayout,
  options: Omit<PackedOptions, 'checkpointLayers'> & {
    read?: (reading: Reading) => Tensor;
    states?: 'before' | 'last too';
  } = {},
): AnswerScorer {
  const { states, ...packed } = options;
  const scorer = createPackedScorer(config, weights, packed);
  return {
    run(answers) {
      const all: Float32Array[] = new Array(answers.length);
      for (const { batch, members } of answerBatches(answers, layout, states)) {
        const numbers = scorer.run(batch);
        let start = 0;
        for (const i of members) {
          const count = answers[i].response.length + (states === 'last too' ? 1 : 0);
          all[i] = numbers.slice(start, start + count);
          start += count;
        }
      }
      return all;
    },
    [Symbol.dispose]: scorer[Symbol.dispose],
  };
}

interface RolloutOptions {
  layout: AnswerLayout;
  /** Tokens of an answer at most. */
  maxTokens: number;
  /** Of the draws, and of all log-probabilities. */
  temperature: number;
  /** Sequences answered side by side. */
  batch: number;
}

export interface Rollouts {
  /** `count` answers to each prompt, drawn from the seed. Rejects with the signal's reason where it aborts. */
  run(prompts: readonly EncodedPrompt[], seed: number, count?: number, signal?: AbortSignal): Promise<LanguageRollout>;
  [Symbol.dispose](): void;
}

/** The reward stays the caller's to release. */
export function createRollouts(policy: LanguagePolicy, reward: Reward, options: RolloutOptions): Rollouts {
  const { layout, temperature } = options;
  const { model, weights, linear, reference } = policy;
  const { config, tokenizer, ends } = model;
  const generator = createGenerator(config, weights, { linear });
  // the generator tells log-probabilities at temperature 1 for nothing
  const own = temperature === 1 ? undefined : createAnswerScorer(config, weights, layout, { linear, temperature });
  const others = createAnswerScorer(reference.config, reference.weights, layout, { temperature });
  const suppress = [tokenizer.bos, tokenizer.pad].filter((id) => id !== undefined && !ends.includes(id)) as number[];
  return {
    async run(prompts, seed, count = 1, signal) {
      const asked = prompts.flatMap((prompt) => new Array<EncodedPrompt>(count).fill(prompt));
      const completions = await generator.complete(
        asked.map(({ ids }) => ids),
        { maxTokens: options.maxTokens, temperature, batch: options.batch, suppress, seed, ends, tokenizer, signal },
      );
      const answers = completions.map(({ ids, finish, text }, i): Completion => {
        const { ids: prompt, text: promptText, row } = asked[i];
        return { prompt, response: ids, ended: finish === 'eos', promptText, text: text!, row };
      });
      const { scores, steps, parts, others: beside, deviations } = await explained(reward, answers, signal);
      return {
        answers,
        logProbs: own?.run(answers) ?? completions.map(({ logprobs }) => Float32Array.from(logprobs)),
        referenceLogProbs: others.run(answers),
        scores: Float64Array.from(scores),
        ...(steps && { steps: answers.map((answer, i) => stepTokens(answer, steps[i], tokenizer)) }),
        ...(parts && { parts }),
        ...(beside && { others: beside }),
        ...(deviations && { deviations }),
      };
    },
    [Symbol.dispose]() {
      for (const part of [generator, own, others]) part?.[Symbol.dispose]();
    },
  };
}

/** Steps of a text as steps of its tokens: each ends with the first token behind which all of its text is there. */
export function stepTokens(
  { prompt, response }: Completion,
  steps: readonly StepReward[],
  tokenizer: Pick<Tokenizer, 'decode'>,
): TokenReward[] {
  return steps.map(({ end, reward }) => {
    let [low, high] = [0, response.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (decodeCompletion(tokenizer, prompt, response.slice(0, middle + 1)).length >= end) high = middle;
      else low = middle + 1;
    }
    return { at: low, reward };
  });
}
