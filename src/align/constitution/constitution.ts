/**
 * Constitutional AI (Bai et al. 2022): a model's answers are made better by principles that people wrote, with nobody to label them.
 *
 * 1. Revisions (§3.1): prompts are answered, a critic says where an answer departs from a drawn principle and writes it again, in one or more
 *    rounds. The last revisions are demonstrations for heed sft.
 * 2. Comparisons (§4.1): prompts are answered twice, and a judge says which answer keeps better to a drawn principle. These are
 *    comparisons for heed reward and heed dpo.
 *
 * In the paper the answers of the second part are those of the model fine-tuned on the first: --part revisions, heed sft, --part
 * comparisons. Where it departs from the paper: no examples are shown to the critic; a judge is asked about each pair in both
 * orders; a local judge's probability says who is chosen, and is told, but no later loss takes it as a soft label.
 *
 * Run it: heed constitution --model MODEL --constitution principles.md --data prompts.jsonl
 */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { z } from 'zod';
import type { Message } from '../../data/index.ts';
import { reviewPrompts } from '../../data/reviews/index.ts';
import { HeedError } from '../../error.ts';
import type { PullOptions } from '../../lm/hub.ts';
import { random, seedFor } from '../../random.ts';
import { stepsOf } from '../../run/index.ts';
import { openChat } from '../judges/chat.ts';
import { chatCallSchema } from '../judges/endpoint-chat.ts';
import { createJudge } from '../judges/judge.ts';
import type { Chat } from '../judges/source.ts';
import { policyTrainingSchema } from '../policies/options.ts';
import { readPromptRows } from '../policies/prompts.ts';
import { checkSameData } from '../training/progress.ts';
import { itemsOfStep } from '../training/steps.ts';
import { type Compared, compareAnswers } from './compare.ts';
import { defaultConstitution, type Principle, readConstitution } from './principles.ts';
import { type Revised, reviseAnswers } from './revise.ts';

const whole = (least: number) => z.number().int().min(least);

const constitutionParts = ['both', 'revisions', 'comparisons'] as const;

export const constitutionSchema = policyTrainingSchema
  .pick({ seed: true, data: true, onBadRow: true, chatTemplate: true })
  .extend({
    model: z
      .string()
      .describe('who answers: folder of a chat model, its name on the Hub, or one at an address, https://…/v1#MODEL'),
    critic: z.string().optional().describe('who criticizes, revises and judges: likewise (default: who answers)'),
    constitution: z
      .string()
      .optional()
      .describe('file of principles: JSON, or a list in Markdown or text (default: ours)'),
    part: z.enum(constitutionParts).default('both').describe('what to make'),
    prompts: whole(1)
      .optional()
      .describe('prompts of a part, drawn by the seed, again where these are more (default: all)'),
    rounds: whole(1).default(1).describe('times that an answer is criticized and revised'),
    revisionPairs: z.boolean().default(false).describe('answers and their revisions are comparisons too'),
    batch: whole(1).default(16).describe('prompts of a step: what is lost at most where somebody does not answer'),
    maxTokens: whole(1).default(512).describe('tokens of an answer, a critique or a revision at most'),
    temperature: z.number().min(0).default(1).describe('of the draws of these'),
    call: chatCallSchema.prefault({}),
  });
export type ConstitutionOptions = z.output<typeof constitutionSchema>;
export type ConstitutionInput = z.input<typeof constitutionSchema>;

interface ConstitutionParts {
  /** In place of opening `model` and `critic`; released with the learner. */
  model?: Chat;
  critic?: Chat;
  /** How models and data are got from the Hub. */
  pull?: PullOptions;
  /** Told what a person should know of the data: rows left out. */
  tell?: (text: string) => void;
}

export interface ConstitutionStep {
  step: number;
  /** Of a step that revises, */
  revised: readonly Revised[];
  /** or of one that compares. */
  compared: readonly Compared[];
  done: boolean;
}

export type Constitution = Awaited<ReturnType<typeof createConstitution>>;

/**
 * What makes revisions and comparisons, a batch of prompts a step. Throws a ZodError at once where settings are wrong; rejects with a
 * HeedError where models, constitution or prompts cannot be used.
 */
export function createConstitution(given: ConstitutionInput, parts: ConstitutionParts = {}) {
  return create(constitutionSchema.parse(given), parts);
}

async function create(options: ConstitutionOptions, parts: ConstitutionParts) {
  const principles = options.constitution === undefined ? defaultConstitution : readConstitution(options.constitution);
  const all = await promptsOf(options, parts);
  const { chatTemplate } = options;
  const open = (name: string) => openChat(name, parts.pull, options.call, { chatTemplate, onNotice: parts.tell });
  const model = parts.model ?? (await open(options.model));
  try {
    const prompts = all.filter((prompt) => model.fits?.(prompt) ?? true);
    const long = all.length - prompts.length;
    if (long > 0) parts.tell?.(`left out ${long} of ${all.length} prompts: too long for "${model.name}"`);
    if (prompts.length === 0) {
      throw new HeedError('No prompt leaves the model room for an answer.', {
        hint: 'Give shorter prompts, or a model that reads more.',
      });
    }
    const critic = parts.critic ?? (options.critic === undefined ? model : await open(options.critic));
    return maker(options, { model, critic, principles, prompts });
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}

async function promptsOf(
  { data, onBadRow }: ConstitutionOptions,
  { pull, tell }: ConstitutionParts,
): Promise<Message[][]> {
  const turn = (content: string): Message[] => [{ role: 'user', content }];
  if (data === undefined) return reviewPrompts.map(({ text }) => turn(text));
  const rows = await readPromptRows(data, { onBadRow, pull, tell });
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
    /** Answers of a batch of prompts, and what the critic makes of them. */
    async next(signal?: AbortSignal): Promise<ConstitutionStep> {
      const { step } = state;
      const compares = part === 'comparisons' || step >= stepsOfPart;
      const first = (step % stepsOfPart) * batch;
      const places = Array.from({ length: Math.min(batch, count - first) }, (_, i) => first + i);
      // the second part goes on with prompts where the first ended
      const from = part === 'both' && compares ? count : 0;
      const asked = places.map((place) => prompts[itemsOfStep(from + place, 1, prompts.length, seed)[0]]);
      const draw = (item: number, round: number) =>
        principles[random(seed, 'principle', from + places[item], round).integer(principles.length)];
      const settings = { maxTokens, temperature, seed: seedFor(seed, 'constitution', step), signal };
      const answered = (all: readonly Message[][]) => model.complete(all, settings);
      let [revised, compared]: [Revised[], Compared[]] = [[], []];
      if (compares) {
        const answers = await answered(asked.flatMap((prompt) => [prompt, prompt]));
        const pairs = asked.map((prompt, i) => ({
          prompt,
          answers: [answers[2 * i], answers[2 * i + 1]] as [string, string],
        }));
        compared = await compareAnswers(critic, judge, pairs, (item) => draw(item, 0), signal);
      } else {
        const answers = await answered(asked);
        const items = asked.map((prompt, i) => ({ prompt, answer: answers[i] }));
        revised = await reviseAnswers(critic, items, options.rounds, draw, settings);
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
    [Symbol.dispose](): void {
      for (const chat of new Set([model, critic])) chat[Symbol.dispose]();
    },
  };
}

/** Makes them step by step, until all prompts are taken or `signal` aborts. */
export async function* constitution(
  given: ConstitutionInput,
  parts: ConstitutionParts & { signal?: AbortSignal } = {},
): AsyncGenerator<ConstitutionStep, void, undefined> {
  yield* stepsOf(await createConstitution(given, parts), parts.signal);
}
