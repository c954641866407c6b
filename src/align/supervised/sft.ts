/**
 * Supervised fine-tuning: a language model goes on learning, by maximum likelihood, from texts that show what it should
 * write (Ouyang et al. 2022, InstructGPT, §3.5). The loss, over the learned tokens of a batch, is in likelihood.ts:
 *
 *   L = −(1/n) Σ log p(tokenᵢ | tokens before it)
 *
 * Where it departs from the paper: completions only, or what the assistant wrote, are learned (the paper learns whole texts);
 * examples are packed into rows so that nothing is computed for padding, and do not see one another; the learning
 * rate falls linearly unless told (there: cosine to 10 %), AdamW, no dropout. docs/sft.md has the settings and results.
 *
 * Run it: heed sft --model HuggingFaceTB/SmolLM2-135M --data demonstrations.jsonl
 */
import { basename } from 'node:path';
import { z } from 'zod';
import { type BadRow, readDataset, tellBadRow } from '../../data/index.ts';
import { HeedError } from '../../error.ts';
import { templatedModel } from '../../lm/built-in-templates.ts';
import { type PullOptions, resolveDataset } from '../../lm/hub.ts';
import { embeddedModel, loadModel, type Model } from '../../lm/model.ts';
import { stepsOf } from '../../run/index.ts';
import { losses } from '../examples/encode.ts';
import {
  type Examples,
  fingerprint,
  type Gathered,
  gatherExamples,
  holdOut,
  longestExample,
  subset,
  truncations,
} from '../examples/examples.ts';
import { languageTrainingSchema } from '../training/options.ts';
import type { SamplePrompt } from '../training/samples.ts';
import { loraSchema } from '../training/trainable.ts';
import { measureResponses, reviewDemonstrations, reviewSamplePrompts, worlds } from '../world/demonstrations.ts';
import { createLanguageLearner, type LanguageLearner, type LanguageStep } from './learner.ts';
import { datasetRows } from './rows.ts';
import { readPrompts, samplePrompts } from './sample-prompts.ts';

export const sftSchema = z.object({
  model: z.string().default(embeddedModel).describe('folder of a model, or its name on the Hub'),
  data: z.string().optional().describe('file, folder, pattern or name on the Hub of what to learn from'),
  world: z
    .enum(worlds)
    .default('reviews')
    .describe('without --data: the embedded world whose demonstrations are learned'),
  demonstrations: z.number().int().min(2).default(2000).describe('without --data: how many'),
  onBadRow: z.enum(['error', 'skip']).default('error').describe('stop at a row that is wrong, or leave it out'),
  loss: z
    .enum(losses)
    .optional()
    .describe("tokens that are learned (default: completions, the assistant's, all of a text)"),
  epochs: z.number().positive().default(3).describe('times every example is seen'),
  steps: z.number().int().min(1).optional().describe('optimizer steps, in place of epochs'),
  length: z.number().int().min(2).optional().describe('tokens of a row (default: the longest example, at most 1024)'),
  truncate: z.enum(truncations).default('cut').describe('what becomes of an example longer than a row'),
  lora: loraSchema.prefault({}),
  packing: z.boolean().default(true).describe('several examples to a row; else each is padded'),
  evaluation: z
    .object({
      data: z.string().optional().describe('held-out data (default: a share of what is learned from)'),
      share: z
        .number()
        .min(0)
        .lt(1)
        .default(0.05)
        .describe('held out without --evaluation.data, at most 1000 examples'),
    })
    .prefault({}),
  ...languageTrainingSchema.shape,
});
export type SftOptions = z.output<typeof sftSchema>;
export type SftInput = z.input<typeof sftSchema>;
export type SftLearner = LanguageLearner<SftOptions>;

export interface SftParts {
  /** The model, in place of loading `model`; it is trained in place and released with the learner. */
  model?: Model;
  /** How models and data are got from the Hub. */
  pull?: PullOptions;
  /** Told what a person should know of the data: rows left out, examples cut. */
  tell?: (text: string) => void;
}

const MOST_HELD_OUT = 1000;

/**
 * A learner that fine-tunes. Throws a ZodError at once where settings are wrong; rejects with a HeedError where the model or
 * the data cannot be used.
 */
export function createSft(given: SftInput, parts: SftParts = {}): Promise<SftLearner> {
  return create(sftSchema.parse(given), parts);
}

async function create(options: SftOptions, parts: SftParts): Promise<SftLearner> {
  const loaded = parts.model ?? (await loadModel(options.model, parts.pull));
  try {
    const model = templatedModel(loaded, options.chatTemplate, parts.tell);
    if ('score.weight' in model.parameters.values) {
      throw new HeedError(`"${options.model}" gives scores (${model.architecture}), so it cannot learn to write.`, {
        hint: 'Give a model for text, whose architecture ends in ForCausalLM or LMHeadModel.',
      });
    }
    const { train, heldOut, length } = await readData(options, model, parts);
    const { rows, perEpoch } = datasetRows(train, { length, packing: options.packing, seed: options.seed });
    const part = Math.min(options.rows, perEpoch);
    return createLanguageLearner({
      model,
      options,
      lora: options.lora,
      name: `${basename(options.model)}-sft`,
      rows,
      part,
      length,
      packing: options.packing,
      steps: options.steps ?? Math.ceil((perEpoch * options.epochs) / (part * options.accumulate)),
      heldOut,
      prompts: await promptsOf(options, heldOut ?? train, model, parts.pull),
      measure: options.data === undefined ? measureResponses : undefined,
      fingerprint: fingerprint(train),
    });
  } catch (error) {
    loaded.parameters[Symbol.dispose]();
    throw error;
  }
}

async function promptsOf(
  { data, samples }: SftOptions,
  examples: Examples,
  { tokenizer }: Model,
  pull?: PullOptions,
): Promise<SamplePrompt[]> {
  if (samples.count === 0) return [];
  if (data === undefined) return reviewSamplePrompts(tokenizer);
  return samples.data === undefined
    ? samplePrompts(examples, samples.count, tokenizer)
    : readPrompts(samples.data, samples.count, tokenizer, pull);
}

/** Fine-tunes, one optimizer step at a time, until the steps are done or `signal` aborts. The model is trained in place. */
export async function* sft(
  given: SftInput,
  parts: SftParts & { signal?: AbortSignal } = {},
): AsyncGenerator<LanguageStep, void, undefined> {
  yield* stepsOf(await createSft(given, parts), parts.signal);
}

interface Data {
  train: Examples;
  heldOut: Examples | undefined;
  /** Tokens of a row. */
  length: number;
}

async function readData(options: SftOptions, { config, tokenizer }: Model, parts: SftParts): Promise<Data> {
  const { evaluation, loss, truncate, seed } = options;
  const most = longestExample(options.length, config);
  const gather = async (data: string): Promise<Examples> => {
    const bad: BadRow[] = [];
    const rows = readDataset(await resolveDataset(data, parts.pull), {
      onBadRow: options.onBadRow,
      accept: ['language-modeling', 'prompt-completion'],
      tell: (row) => bad.push(row),
    });
    const found = await gatherExamples(rows, tokenizer, data, { length: most, loss, truncate });
    tellOf(found, bad, data, most, options, parts.tell);
    return found.examples;
  };
  const demonstrations = () =>
    gatherExamples(reviewDemonstrations(options.demonstrations, seed), tokenizer, options.world, {
      length: most,
      loss,
      truncate,
    });
  const all = options.data === undefined ? (await demonstrations()).examples : await gather(options.data);
  const longest = all.lengths.reduce((a, b) => Math.max(a, b), 0);
  const length = options.length ?? longest;
  if (evaluation.data !== undefined) return { train: all, heldOut: await gather(evaluation.data), length };
  const share = Math.min(evaluation.share, MOST_HELD_OUT / all.lengths.length);
  const { kept, held } = holdOut(all.lengths.length, share, seed);
  return { train: subset(all, kept), heldOut: held.length > 0 ? subset(all, held) : undefined, length };
}

function tellOf(
  { long, empty }: Gathered,
  bad: readonly BadRow[],
  data: string,
  most: number,
  { truncate }: SftOptions,
  tell: SftParts['tell'] = () => {},
): void {
  const say = (what: string, n: number, more: string) =>
    n > 0 && tell(`"${data}": ${what} ${n.toLocaleString('en-US')} ${n === 1 ? 'row' : 'rows'} ${more}`);
  say('left out', bad.length, `as wrong, the first: ${bad.length > 0 ? tellBadRow(bad[0]) : ''}`);
  say(truncate === 'drop' ? 'left out' : truncate, long, `longer than ${most} tokens (--length, --truncate)`);
  say('left out', empty, 'of which no token would be learned');
}
