/** The policy by which a server learns from feedback: when it trains, on what, and what a version needs to be served. */
import { z } from 'zod';
import { HeedError, messageOf } from '../../error.ts';
import { readJsonFile } from '../../files.ts';
import { parseOptions, wholeNumber } from '../../options.ts';

const share = (most = 1) => z.number().min(0).max(most);
const weight = (usual: number, what: string) => share().default(usual).describe(`weight of ${what}`);

/** Held-out judgments that a version is measured by at most, the latest. */
export const HELD_OUT = 2000;

/** The ways to train. */
export const learnMethods = ['auto', 'dpo', 'kto', 'reward+ppo'] as const;

/** Schema of the policy: types, ranges, defaults and help texts. */
export const learnPolicySchema = z.strictObject({
  model: z.string().optional().describe('name of the model that learns (default: the first that is served)'),
  judgments: wholeNumber(1)
    .default(200)
    .describe('new judgments after which a version is trained, of each user at most `mostPerUser`'),
  hours: z
    .number()
    .positive()
    .optional()
    .describe('hours after which a version is trained with fewer new judgments (default: only by their number)'),
  least: wholeNumber(1).default(50).describe('new judgments that a training by `hours` needs'),
  method: z
    .enum(learnMethods)
    .default('auto')
    .describe('dpo learns from choices and edits, kto from ratings and signals too; auto: dpo if most are choices'),
  mostPerUser: wholeNumber(1).default(20).describe('maximum judgments of one user in a training, the latest first'),
  userShare: share().default(0.05).describe("one user's maximum share of the weight of a training"),
  days: z.number().positive().default(30).describe('age of the oldest feedback that is learned from, in days'),
  heldOut: share(0.9)
    .default(0.2)
    .describe('share of users whose feedback is never learned from: it measures versions'),
  weights: z
    .strictObject({
      rating: weight(1, 'a rating; 2 and 4 of 5 count half'),
      accepted: weight(0.5, 'a completion that the user accepted'),
      rejected: weight(0.5, 'a completion that the user rejected'),
      copied: weight(0.3, 'a completion that the user copied'),
      regenerated: weight(0.3, 'a completion that the user had written again'),
      edit_distance: weight(0.3, 'a completion that the user changed by less than a tenth, or more than half'),
    })
    .prefault({}),
  training: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('settings of the training, as of heed dpo, heed kto or heed ppo, such as {"learningRate": 1e-5}'),
  gate: z
    .strictObject({
      winRate: z.number().min(0).lt(1).default(0.5).describe('the value that agreement and win rate must exceed'),
      error: z
        .number()
        .positive()
        .max(0.5)
        .default(0.05)
        .describe('maximum share of the versions that pass although they are no better'),
      heldOut: wholeNumber(2).max(HELD_OUT).default(40).describe('held-out judgments that the gate needs'),
      maxKl: z.number().positive().default(10).describe('maximum KL from the serving version, in nats per completion'),
      prompts: wholeNumber(1).default(64).describe('prompts that are completed to measure KL, length and format'),
      maxTokens: wholeNumber(1)
        .default(128)
        .describe("maximum tokens of these completions; at most half of the model's positions"),
      evaluation: z.string().optional().describe('evaluation set: prompts, a file or a name on the Hub'),
      judge: z
        .string()
        .optional()
        .describe('with an evaluation set: the chat model that compares, as in heed eval policy'),
      reward: z
        .string()
        .optional()
        .describe('with an evaluation set: the reward that compares, as in heed eval policy'),
    })
    .prefault({})
    .refine(
      ({ evaluation, judge, reward }) => (evaluation === undefined) === (judge === undefined && reward === undefined),
      {
        path: ['evaluation'],
        message: 'expected an evaluation set together with a judge or a reward',
      },
    ),
  canary: z
    .strictObject({
      share: z
        .number()
        .positive()
        .max(0.9)
        .default(0.1)
        .describe('share of users who get a new version first; always the same ones'),
      error: z
        .number()
        .positive()
        .max(0.5)
        .default(0.05)
        .describe(
          'α: how often a good version is rolled back, and one that is worse by the margin, or no better, promoted',
        ),
      margin: share()
        .default(0)
        .describe('by how much lower the share of good completions may be; 0: it must be reliably higher'),
      least: wholeNumber(1).default(50).describe('judgments of the canary before it is promoted'),
      most: wholeNumber(1).default(5000).describe('judgments of the canary after which it is rolled back if undecided'),
      perUser: wholeNumber(1).default(3).describe('judgments of one user that decide about a canary, the first ones'),
      days: z.number().positive().default(14).describe('days after which an undecided canary is rolled back'),
    })
    .prefault({}),
  seed: z.number().int().default(0).describe('seed of trainings, of the held-out users and of those of the canary'),
});
/** The policy, with its defaults. */
export type LearnPolicy = z.output<typeof learnPolicySchema>;
/** The policy as a caller passes it: every field may be left out. */
export type LearnInput = z.input<typeof learnPolicySchema>;

/**
 * The policy in a JSON file, or in a value.
 *
 * @throws HeedError that names the file and the option that is wrong, also if no version could ever be served by it.
 */
export function readLearnPolicy(source: string | LearnInput): LearnPolicy {
  if (typeof source !== 'string') return checkedPolicy(source);
  const policy = readJsonFile(source, 'Expected a JSON object, such as {"judgments": 200}.');
  try {
    return checkedPolicy(policy);
  } catch (cause) {
    const hint = cause instanceof HeedError ? cause.hint : undefined;
    throw new HeedError(`"${source}": ${messageOf(cause)}`, { hint, cause });
  }
}

function checkedPolicy(input: unknown): LearnPolicy {
  const policy = parseOptions(learnPolicySchema, input);
  const { heldOut, gate, canary } = policy;
  if (heldOut === 0 && gate.evaluation === undefined) {
    throw new HeedError('heldOut is 0: without held-out users, no version could be measured.', {
      hint: 'Set heldOut above 0, such as 0.2, or gate.evaluation with a judge or a reward.',
    });
  }
  if (canary.most < canary.least) {
    throw new HeedError(
      `canary.most is ${canary.most} and canary.least is ${canary.least}: every canary would be rolled back before it could be promoted.`,
      { hint: 'Set canary.most to canary.least or more.' },
    );
  }
  return policy;
}
