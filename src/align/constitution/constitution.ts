/**
 * Constitutional AI (Bai et al. 2022): written principles replace human labels.
 *
 * 1. Revisions (§3.1): the model completes prompts; a critic says where a completion departs from a randomly drawn
 *    principle and rewrites it, in one or more rounds. The last revisions are demonstrations for heed sft.
 * 2. Comparisons (§4.1): the model completes each prompt twice, and a judge says which completion follows a randomly
 *    drawn principle better. These are comparisons for heed reward and heed dpo.
 *
 * In the paper, the second part uses the model fine-tuned on the first: --part revisions, heed sft, --part comparisons.
 * Departures: the critic gets no examples; the judge sees each pair in both orders; a local judge's probability decides
 * which completion is chosen and is stored with the row, but no later loss uses it as a soft label.
 *
 * Run it: heed constitution --model MODEL --constitution principles.md --data prompts.jsonl
 */

import { z } from 'zod';
import type { Message } from '../../data/format.ts';
import type { PreferenceRow, PromptCompletionRow, PromptRow } from '../../data/rows.ts';
import { opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { basename, createHash } from '../../node.ts';
import { numberFrom, optionalText, wholeNumber } from '../../options.ts';
import { random, seedFor } from '../../random.ts';
import type { Training } from '../../run/training.ts';
import { type ChatSource, openChat } from '../judges/chat.ts';
import { createJudge } from '../judges/judge.ts';
import type { Chat } from '../judges/source.ts';
import { policyTrainingSchema } from '../policies/options.ts';
import { readPromptRows } from '../policies/prompts.ts';
import { endpointCallSchema } from '../training/endpoint.ts';
import { type Input, type Live, type Opener, openerOf, openSource } from '../training/input.ts';
import { checkSameData, itemsOfStep } from '../training/steps.ts';
import { type TrainingResult, trainingOf } from '../training/verb.ts';
import { usualWorld } from '../world/worlds.ts';
import { defaultConstitution, type Principle, readConstitution } from './principles.ts';
import { type Revised, reviseCompletions } from './revise.ts';
import {
  type Compared,
  compareCompletions,
  comparisonRows,
  constitutionMetrics,
  revisionPairs,
  revisionRows,
} from './rows.ts';

const constitutionParts = ['both', 'revisions', 'comparisons'] as const;

/** Schema of the options of `constitution`: types, ranges, defaults and help texts. */
export const constitutionSchema = policyTrainingSchema
  .pick({ seed: true, data: true, onBadRow: true, chatTemplate: true, chatTemplateKwargs: true })
  .extend({
    model: z
      .string()
      .describe(
        'chat model that writes completions: a folder, a GGUF file, a name on the Hub, or an address, https://…/v1#MODEL',
      ),
    critic: optionalText('chat model that criticizes, revises and judges, likewise (default: --model)'),
    constitution: optionalText('file of principles: JSON, or a list in Markdown or text (default: the built-in ones)'),
    part: z.enum(constitutionParts).default('both').describe('which data to make'),
    prompts: wholeNumber(1)
      .optional()
      .describe('prompts per part, drawn by the seed; they repeat if the data has fewer (default: all)'),
    rounds: wholeNumber(1).default(1).describe('rounds of critique and revision per completion'),
    revisionPairs: z.boolean().default(false).describe('add pairs of a revision and its original to the comparisons'),
    batch: wholeNumber(1).default(16).describe('prompts per step; a failed request loses at most one step'),
    maxTokens: wholeNumber(1).default(512).describe('maximum tokens of a completion, a critique or a revision'),
    temperature: numberFrom(0).default(1).describe('sampling temperature of completions, critiques and revisions'),
    call: endpointCallSchema.prefault({}),
  });
/** The options of `constitution`, with their defaults. */
export type ConstitutionOptions = z.output<typeof constitutionSchema>;
/** The input of `constitution`. */
export type ConstitutionInput = Omit<Input<z.input<typeof constitutionSchema>, PromptRow>, 'model' | 'critic'> & {
  /** Writes completions: a chat model, by name or loaded, or any object that completes conversations. */
  model: string | ChatSource;
  /** Criticizes, revises and judges: likewise. By default the same as `model`. */
  critic?: string | ChatSource;
};

/** A step of `constitution`: a batch of prompts, either revised or compared. */
export interface ConstitutionStep {
  /** Steps so far. */
  step: number;
  /** The completions and their revisions; empty for a step that compares. */
  revised: readonly Revised[];
  /** The compared pairs; empty for a step that revises. */
  compared: readonly Compared[];
  /** Whether this was the last step. */
  done: boolean;
}

/** Makes revisions and comparisons, a batch of prompts per step. */
export type Constitution = Awaited<ReturnType<typeof create>>;

/** Opens the learner that `constitution` runs. */
export const createConstitution: Opener<ConstitutionInput, Constitution> = openerOf(constitutionSchema, create);

/** The result of `constitution`. */
export interface ConstitutionResult extends TrainingResult {
  /** Prompts with their last revisions: data for `sft`. */
  revisions: PromptCompletionRow[];
  /** Pairs of completions, compared by the principles: data for `reward` and `dpo`. */
  comparisons: PreferenceRow[];
}

/**
 * Revises a model's completions by written principles, and compares them by the same principles (Bai et al. 2022).
 *
 *     const { revisions, comparisons } = await constitution({ model, data: [{ prompt: 'Hello' }, …] });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function constitution(input: ConstitutionInput): Training<ConstitutionStep, ConstitutionResult> {
  const made = { revised: [] as Revised[], compared: [] as Compared[] };
  return trainingOf(
    createConstitution,
    input,
    ({ revised, compared }: ConstitutionStep) => {
      made.revised.push(...revised);
      made.compared.push(...compared);
      return constitutionMetrics({ revised, compared });
    },
    ({ options }) => ({
      revisions: revisionRows(made) as unknown as PromptCompletionRow[],
      comparisons: [
        ...(options.revisionPairs ? revisionPairs(made) : []),
        ...comparisonRows(made),
      ] as unknown as PreferenceRow[],
    }),
  );
}

async function create(options: ConstitutionOptions, live: Live) {
  return opening(async (scope) => {
    const principles =
      options.constitution === undefined ? defaultConstitution : readConstitution(options.constitution);
    const all = await promptsOf(options, live);
    const template = { ...options, onNotice: live.onNotice };
    const chat = async (path: 'model' | 'critic', name: string) =>
      scope.use(await openChat((live[path] as ChatSource | undefined) ?? name, live.pull, options.call, template));
    const model = await chat('model', options.model);
    const prompts = all.filter((prompt) => model.fits?.(prompt) ?? true);
    const long = all.length - prompts.length;
    if (long > 0) live.onNotice?.(`left out ${long} of ${all.length} prompts: too long for "${model.name}"`);
    if (prompts.length === 0) {
      throw new HeedError('No prompt leaves the model room for a completion.', {
        hint: 'Use shorter prompts, or a model with more positions.',
      });
    }
    const critic = options.critic === undefined ? model : await chat('critic', options.critic);
    return { ...maker(options, { model, critic, principles, prompts }), [Symbol.dispose]: scope[Symbol.dispose] };
  });
}

async function promptsOf({ data, onBadRow }: ConstitutionOptions, live: Live): Promise<Message[][]> {
  const turn = (content: string): Message[] => [{ role: 'user', content }];
  if (data === undefined) return usualWorld().prompts.map(({ text }) => turn(text));
  const rows = await readPromptRows(await openSource('data', data, live), { onBadRow, onNotice: live.onNotice });
  return rows.map(({ value: { prompt } }) => (typeof prompt === 'string' ? turn(prompt) : (prompt as Message[])));
}

interface Tools {
  model: Chat;
  critic: Chat;
  principles: readonly Principle[];
  prompts: readonly Message[][];
}

function maker(options: ConstitutionOptions, { model, critic, principles, prompts }: Tools) {
  const { seed, batch, part, maxTokens, temperature } = options;
  const count = options.prompts ?? prompts.length;
  const stepsOfPart = Math.ceil(count / batch);
  const steps = (part === 'both' ? 2 : 1) * stepsOfPart;
  const judge = createJudge(critic, { maxTokens });
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([principles, prompts]))
    .digest('hex');
  let state = { step: 0, fingerprint };

  return {
    options,
    principles,
    name: `${basename(options.model.split('#').at(-1)!)}-constitution`,
    steps,
    /** Completes a batch of prompts, and has the critic revise or compare the completions. */
    async next(signal?: AbortSignal): Promise<ConstitutionStep> {
      const { step } = state;
      const compares = part === 'comparisons' || step >= stepsOfPart;
      const first = (step % stepsOfPart) * batch;
      const places = Array.from({ length: Math.min(batch, count - first) }, (_, i) => first + i);
      // the second part uses the prompts after those of the first
      const from = part === 'both' && compares ? count : 0;
      const batchPrompts = places.map((place) => prompts[itemsOfStep(from + place, 1, prompts.length, seed)[0]]);
      const draw = (item: number, round: number) =>
        principles[random(seed, 'principle', from + places[item], round).integer(principles.length)];
      const settings = { maxTokens, temperature, seed: seedFor(seed, 'constitution', step), signal };
      const answered = (all: readonly Message[][]) => model.complete(all, settings);
      let [revised, compared]: [Revised[], Compared[]] = [[], []];
      if (compares) {
        const completions = await answered(batchPrompts.flatMap((prompt) => [prompt, prompt]));
        const pairs = batchPrompts.map((prompt, i) => ({
          prompt,
          completions: [completions[2 * i], completions[2 * i + 1]] as [string, string],
        }));
        compared = await compareCompletions(critic, judge, pairs, (item) => draw(item, 0), signal);
      } else {
        const completions = await answered(batchPrompts);
        const items = batchPrompts.map((prompt, i) => ({ prompt, completion: completions[i] }));
        revised = await reviseCompletions(critic, items, options.rounds, draw, settings);
      }
      state = { step: step + 1, fingerprint };
      return { step: state.step, revised, compared, done: state.step === steps };
    },
    save: () => ({ state, tensors: {} }),
    restore(checkpoint: { state: unknown; tensors: unknown }): void {
      const saved = checkpoint.state as typeof state;
      checkSameData(saved, state, 'prompts and principles');
      state = saved;
    },
  };
}
