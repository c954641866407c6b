/**
 * Distillation: a student learns from a teacher, a model with the same vocabulary.
 *
 * - From its texts (Kim and Rush 2016, "Sequence-Level Knowledge Distillation"): `texts: 'teacher'` with `divergence:
 *   'none'`. The teacher completes the prompts, and the student learns the completions by maximum likelihood.
 * - From its log-probabilities (Hinton et al. 2015): a divergence of the student's next-token distribution from the
 *   teacher's, at each token of given texts (divergence.ts).
 * - On-policy (GKD; Agarwal et al. 2024, "On-Policy Distillation of Language Models"): with probability λ (`onPolicy`), a
 *   step's completions are drawn by the student. The gradient does not pass through the sampling.
 *
 *   L = (1/n) Σ D(student(· | tokens before i), teacher(· | tokens before i))    over the n learned tokens of a batch
 *
 * Departures from the paper: D is not scaled by the square of the temperature; the sampling temperature of completions is
 * an option of its own; texts are packed into rows.
 *
 * Run it: heed distill --model small --teacher runs/ppo/model --texts teacher
 */
import { z } from 'zod';
import type { MessagesRow, PromptCompletionRow, PromptRow, TextRow } from '../../data/rows.ts';
import { opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { embeddedModel, type Model } from '../../lm/model.ts';
import { basename } from '../../node.ts';
import type { LanguageLearner } from '../supervised/learner.ts';
import { createExamplesLearner, readData, sftSchema } from '../supervised/sft.ts';
import { type LanguageTraining, languageTraining } from '../supervised/train.ts';
import { type Input, type Opener, openerOf, openModel, openTemplated } from '../training/input.ts';
import { checkSameTokens } from '../training/policy.ts';
import { tokenDivergences } from './divergence.ts';
import { createDivergenceObjective } from './objective.ts';
import { checkPrompts, readTeacherTexts } from './texts.ts';

const whole = (least: number) => z.number().int().min(least);

/** Schema of the options of `distill`: types, ranges, defaults and help texts. */
export const distillSchema = sftSchema
  .extend({
    model: z.string().default(embeddedModel).describe('the student: a folder or a name on the Hub'),
    teacher: z.string().describe('the teacher, a model with the same vocabulary: a folder or a name on the Hub'),
    texts: z
      .enum(['data', 'teacher'])
      .default('data')
      .describe("whose completions to learn: the data's, or those that the teacher draws for the data's prompts"),
    divergence: z
      .enum([...tokenDivergences, 'none'])
      .default('forward')
      .describe(
        'from the teacher: forward KL, reverse KL, or jsd (Jensen–Shannon); none: learn its texts by maximum likelihood',
      ),
    beta: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.5)
      .describe(
        'with divergence jsd, the weight of the teacher in the mixture; near 0 like forward, near 1 like reverse',
      ),
    temperature: z.number().positive().default(1).describe('the logits of both models are divided by this in the loss'),
    onPolicy: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('probability that the student draws the completions of a step itself (GKD)'),
    drawing: z
      .object({
        maxTokens: whole(1)
          .default(96)
          .describe('maximum tokens of a completion that the teacher or the student draws'),
        temperature: z.number().min(0).default(1).describe('sampling temperature; 0: always the likeliest token'),
        batch: whole(1).default(64).describe('completions drawn at once'),
      })
      .prefault({}),
  })
  .superRefine(({ divergence, texts, onPolicy }, context) => {
    if (divergence !== 'none') return;
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (texts !== 'teacher')
      refuse('texts', 'expected "teacher" with divergence none: nothing else is learned from it');
    if (onPolicy > 0) refuse('onPolicy', "expected 0 with divergence none: the student's own texts teach it nothing");
  });
/** The options of `distill`, with their defaults. */
export type DistillOptions = z.output<typeof distillSchema>;
/** The input of `distill`. */
export type DistillInput = Input<
  Omit<z.input<typeof distillSchema>, 'teacher'>,
  TextRow | MessagesRow | PromptCompletionRow | PromptRow
> & {
  /** The teacher, a model with the same vocabulary: a folder, a name on the Hub, or a loaded model. */
  teacher: string | Model;
};
/** Distills a teacher into a student, a step at a time. */
export type DistillLearner = LanguageLearner<DistillOptions>;

/** Opens the learner that `distill` runs. */
export const createDistill: Opener<DistillInput, DistillLearner> = openerOf(distillSchema, (options, live) =>
  opening(async (own) => {
    if (/^https?:/.test(options.teacher)) {
      throw new HeedError(`--teacher is an endpoint, "${options.teacher}": expected a folder or a name on the Hub.`, {
        hint: 'Endpoints give log-probabilities of a few tokens; a divergence needs those of the whole vocabulary.',
      });
    }
    const student = await openTemplated(options, live, own);
    const teacher = await openModel('teacher', options.teacher, live, own, student.config.precision);
    if (teacher === student) {
      throw new HeedError('The teacher is the student itself: the teacher must not change.', {
        hint: 'Load the model twice.',
      });
    }
    for (const [what, { parameters, architecture }] of Object.entries({ student, teacher })) {
      if (!('score.weight' in parameters.values)) continue;
      throw new HeedError(`The ${what} gives scores (${architecture}), so it cannot write.`, {
        hint: 'Use a language model, whose architecture ends in ForCausalLM or LMHeadModel.',
      });
    }
    checkSameTokens(student, teacher, `The teacher "${options.teacher}"`, 'Use models with the same tokenizer.');
    const data = await (options.texts === 'teacher'
      ? readTeacherTexts(options, student, teacher, live)
      : readData(options, student, live));
    const { heldOut } = data;
    if (options.onPolicy > 0) checkPrompts(data.train, '--onPolicy');
    return createExamplesLearner({
      model: student,
      options,
      name: `${basename(options.model)}-distill`,
      ...(options.divergence !== 'none' && {
        objective: (trained, shape, part) => {
          const { divergence, ...rest } = options;
          const settings = { ...rest, divergence: divergence as Exclude<typeof divergence, 'none'> };
          return createDivergenceObjective({ student, teacher, heldOut, options: settings }, trained, shape, part);
        },
      }),
      data,
      live,
      own,
    });
  }),
);

/**
 * Trains a student to write as a teacher does, in place: from the teacher's texts, from its log-probabilities, or
 * on-policy (Agarwal et al. 2024).
 *
 *     const data = [{ prompt: 'Hello', completion: ' world' }, …];
 *     const { model } = await distill({ model: 'small', teacher: 'large', data, divergence: 'jsd', onPolicy: 0.5 });
 *
 * The teacher is not changed. Rejects with a HeedError that names the option or the row that is wrong.
 */
export function distill(input: DistillInput): LanguageTraining {
  return languageTraining(createDistill, input);
}
