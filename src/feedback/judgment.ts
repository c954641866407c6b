/** What people are asked and what they say: plain data, checked wherever it comes in. */
import { z } from 'zod';
import { type Choice, choices } from '../preference/index.ts';

const text = z.string().max(200_000);
const messages = z
  .array(z.looseObject({ role: z.string().max(100), content: text }))
  .min(1)
  .max(1000);

/** A picture as `env` draws it. */
const frameSchema = z.object({
  width: z.number().positive(),
  height: z.number().positive(),
  shapes: z
    .array(
      z.discriminatedUnion('kind', [
        z.looseObject({ kind: z.enum(['polygon', 'line', 'circle']) }),
        // in itself, so that looking at a clip asks nobody for anything
        z.looseObject({ kind: z.literal('image'), href: z.string().regex(/^data:image\/png;base64,[\w+/]+=*$/) }),
      ]),
    )
    .max(10_000),
});

const optionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('text'), text }),
  z.object({
    kind: z.literal('clip'),
    frames: z.array(frameSchema).min(1).max(10_000),
    framesPerSecond: z.number().positive().max(1000),
  }),
]);
export type Option = z.output<typeof optionSchema>;

/** What an item shows: a prompt where there is one, and the options. */
export const contentSchema = z.object({
  prompt: z.union([text, messages]).optional(),
  options: z.array(optionSchema).max(26),
});
export type Content = z.output<typeof contentSchema>;

/** How items are answered: two options compared, several ranked, one rated by aspects, called good or bad, corrected, or written. */
export const kinds = ['pair', 'ranking', 'rating', 'binary', 'correction', 'demonstration'] as const;
export type Kind = (typeof kinds)[number];

/** Fewest and most options an item of a kind has. */
export const optionCounts: Readonly<Record<Kind, readonly [least: number, most: number]>> = {
  pair: [2, 2],
  ranking: [2, 26],
  rating: [1, 1],
  binary: [1, 1],
  correction: [1, 1],
  demonstration: [0, 0],
};

/** What somebody says of a pair. Of "both-bad" and "unknown" nothing is learned but that. */
export const pairChoices = ['first', 'second', 'tie', 'both-bad', 'unknown'] as const;
export type PairChoice = (typeof pairChoices)[number];

const ratings = z.record(z.string().max(200), z.number().int().min(1).max(100));
const common = {
  /** Why, in own words. */
  reason: text.optional(),
  /** By the name of the aspect: of the options together in a pair, from the first much better to the second much better. */
  aspects: ratings.optional(),
};

const skipSchema = z.object({ kind: z.literal('skip'), reason: text.optional() });

export const answerSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('pair'),
    choice: z.enum(pairChoices),
    /** 1: slightly, 3: much. */
    strength: z.number().int().min(1).max(3).optional(),
    /** A better answer than either, written by who chose. */
    better: text.optional(),
    ...common,
  }),
  /** 1 for the best; equals share a rank. */
  z.object({ kind: z.literal('ranking'), ranks: z.array(z.number().int().min(1)).min(2).max(26), ...common }),
  z.object({ kind: z.literal('rating'), ratings, reason: text.optional() }),
  z.object({ kind: z.literal('binary'), good: z.boolean(), ...common }),
  z.object({ kind: z.literal('correction'), text: text.min(1), ...common }),
  z.object({ kind: z.literal('demonstration'), text: text.min(1), ...common }),
]);
export type Answer = z.output<typeof answerSchema>;
export const voteSchema = z.union([answerSchema, skipSchema]);
export type Vote = z.output<typeof voteSchema>;

/** What a pair's answer says of its two options. */
export function choiceOf({ choice, strength }: Extract<Answer, { kind: 'pair' }>): Choice {
  if (choice === 'tie' || choice === 'first' || choice === 'second') {
    // of a slight preference not all is learned
    const weight = strength === 1 ? 0.75 : strength === 2 ? 0.9 : 1;
    if (choice === 'tie' || weight === 1) return choices[choice];
    return choice === 'first' ? [weight, 1 - weight] : [1 - weight, weight];
  }
  return 'incomparable';
}

/** The categories in which answers of a kind are compared between people; undefined of what is written. */
export function categoryOf(answer: Answer): number | undefined {
  switch (answer.kind) {
    case 'pair':
      return pairChoices.indexOf(answer.choice);
    case 'binary':
      return Number(answer.good);
    case 'ranking':
      return answer.ranks.indexOf(Math.min(...answer.ranks));
    default:
      return undefined;
  }
}
