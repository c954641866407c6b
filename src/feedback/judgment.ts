/** Items and judgments as plain data, checked on every way in. */
import { z } from 'zod';
import { choices, type PairJudgment } from '../preference/comparison.ts';

const text = z.string().max(200_000);
/** A PNG inside the item, so that looking at it sends no request to anybody. It has to begin as a PNG does. */
const png = z
  .string()
  .max(16_000_000)
  .regex(/^data:image\/png;base64,iVBORw0KGgo[\w+/]*=*$/, 'expected data:image/png;base64,… with the bytes of a PNG');
/** The same for four formats. */
const picture = z
  .string()
  .max(16_000_000)
  .regex(
    /^data:image\/(png;base64,iVBORw0KGgo|jpeg;base64,\/9j\/|webp;base64,UklGR|gif;base64,R0lGOD)[\w+/]*=*$/,
    'expected data:image/png;base64,… (or jpeg, webp, gif) with the bytes of such a picture',
  );
const part = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text'), text }),
  z.looseObject({ type: z.literal('image_url'), image_url: z.looseObject({ url: picture }) }),
]);
const call = z.looseObject({
  function: z.looseObject({
    name: z.string().max(1000),
    arguments: z.union([text, z.record(z.string(), z.unknown())]),
  }),
});
const message = z.looseObject({
  role: z.string().max(100).describe('system, user, assistant or tool'),
  content: z
    .union([text, z.array(part).max(100)])
    .nullish()
    .describe('a text, or parts that are texts and images'),
  tool_calls: z.array(call).max(100).optional().describe('tools that an assistant calls'),
});
/** A message of a conversation, as chat models take them: with images and calls of tools. */
export type Message = z.output<typeof message>;
const messages = z.array(message).min(1).max(1000);

const at = z.number();
const above = z.number().positive();
const color = z
  .string()
  .max(100)
  .regex(/^(#[\da-f]{3,8}|[a-z]+|[a-z]+\([\d\s.,%/a-z-]+\))$/i, 'expected a CSS color, such as #3d5a98');
const points = (least: number) =>
  z
    .array(at)
    .min(2 * least, `expected ${least} points or more, as x, y, x, y, …`)
    .max(100_000)
    .refine(({ length }) => length % 2 === 0, 'expected an even number of coordinates: x, y, x, y, …');

/** A picture as `env` draws it. */
const frameSchema = z.object({
  width: above,
  height: above,
  shapes: z
    .array(
      z.discriminatedUnion('kind', [
        z.looseObject({ kind: z.literal('polygon'), points: points(3), fill: color.optional() }),
        z.looseObject({
          kind: z.literal('line'),
          points: points(2),
          stroke: color.optional(),
          width: above.optional(),
        }),
        z.looseObject({ kind: z.literal('circle'), x: at, y: at, radius: above, fill: color.optional() }),
        z.looseObject({
          kind: z.literal('image'),
          x: at,
          y: at,
          width: above,
          height: above,
          href: png,
        }),
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
  z.object({ kind: z.literal('image'), href: picture, alt: z.string().max(1000).optional() }),
  z.object({ kind: z.literal('messages'), messages }),
]);
/** One of the things an item shows side by side: a text, a clip, an image, or messages with calls of tools. */
export type Option = z.output<typeof optionSchema>;

/** Checks a `Content`. */
export const contentSchema = z.object({
  prompt: z.union([text, messages]).optional().describe('what the options respond to: a text or messages'),
  options: z.array(optionSchema).max(26).describe('what is judged: texts, clips, images or messages'),
});
/** What an item shows: an optional prompt, and the options. */
export type Content = z.output<typeof contentSchema>;

/**
 * The kinds of items: two options are compared, several are ranked, one is rated by aspects, called good or bad or
 * corrected, or a response is written from scratch.
 */
export const itemKinds = ['pair', 'ranking', 'rating', 'binary', 'correction', 'demonstration'] as const;
/** How an item is judged. All items of a project are of one kind. */
export type ItemKind = (typeof itemKinds)[number];

/** The fewest and the most options that an item of each kind has. */
export const optionCounts: Readonly<Record<ItemKind, readonly [least: number, most: number]>> = {
  pair: [2, 2],
  ranking: [2, 26],
  rating: [1, 1],
  binary: [1, 1],
  correction: [1, 1],
  demonstration: [0, 0],
};

/** What an annotator can choose for a pair. `both-bad` and `unknown` are recorded, and nothing is learned from them. */
export const pairChoices = ['first', 'second', 'tie', 'both-bad', 'unknown'] as const;
/** One of the choices for a pair. */
export type PairChoice = (typeof pairChoices)[number];

const ratings = z.record(z.string().max(200), z.number().int().min(1).max(100));
const span = z.object({
  option: z.number().int().min(0).max(25).describe('index of the option, as the item has them'),
  start: z.number().int().min(0).describe('first character, in UTF-16'),
  end: z.number().int().min(1).describe('character after the last'),
  good: z.boolean().describe('whether this part is good, or bad'),
  reason: z.string().max(2000).optional().describe('why, in the annotator’s own words'),
});
/** A part of a text option that an annotator marked. */
export type Span = z.output<typeof span>;
const spans = z.array(span).max(100).optional().describe('parts of the options that the annotator marked');
const common = {
  reason: text.optional().describe('why, in the annotator’s own words'),
  aspects: ratings.optional().describe('ratings by aspect; for a pair, 1 means the first option is much better'),
  spans,
};

const skipSchema = z.object({
  kind: z.literal('skip'),
  reason: text.optional().describe('why the annotator skips the item'),
});

/** Checks a `Judgment`. */
export const judgmentSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('pair'),
    choice: z.enum(pairChoices).describe('which option is better'),
    strength: z.number().int().min(1).max(3).optional().describe('how much better: 1 slightly, 3 much'),
    better: text.optional().describe('a response better than both, written by the annotator'),
    ...common,
  }),
  z.object({
    kind: z.literal('ranking'),
    ranks: z
      .array(z.number().int().min(1))
      .min(2)
      .max(26)
      .describe('the rank of each option: 1 is best, ties share a rank'),
    ...common,
  }),
  z.object({
    kind: z.literal('rating'),
    ratings: ratings.describe('ratings by aspect, from 1 up to the scale of the aspect'),
    reason: common.reason,
    spans,
  }),
  z.object({ kind: z.literal('binary'), good: z.boolean().describe('whether the response is good'), ...common }),
  z.object({ kind: z.literal('correction'), text: text.min(1).describe('the corrected response'), ...common }),
  z.object({ kind: z.literal('demonstration'), text: text.min(1).describe('the response'), ...common }),
]);
/** An annotator's judgment of an item. Its `kind` is that of the item. */
export type Judgment = z.output<typeof judgmentSchema>;

/** Checks a `JudgmentOrSkip`. */
export const judgmentOrSkipSchema = z.union([judgmentSchema, skipSchema]);
/** A judgment, or that the annotator skips the item. */
export type JudgmentOrSkip = z.output<typeof judgmentOrSkipSchema>;

/** Weights by strength: a slight preference counts for less than a strong one. */
const WEIGHTS: Readonly<Record<number, number>> = { 1: 0.75, 2: 0.9, 3: 1 };

/** The preference that a pair's judgment states, as probabilities of the two options. */
export function choiceFromPair({ choice, strength }: Extract<Judgment, { kind: 'pair' }>): PairJudgment {
  if (choice === 'tie' || choice === 'first' || choice === 'second') {
    const weight = WEIGHTS[strength ?? 3];
    if (choice === 'tie' || weight === 1) return choices[choice];
    return choice === 'first' ? [weight, 1 - weight] : [1 - weight, weight];
  }
  return 'incomparable';
}

/** The ratings by aspect in a judgment: those of a rating, or those beside another judgment. */
export const ratingsOf = (judgment: Judgment): Readonly<Record<string, number>> =>
  (judgment.kind === 'rating' ? judgment.ratings : judgment.aspects) ?? {};

/**
 * The category by which judgments of one kind are compared; undefined for ratings, written text, and rankings with
 * several options at the top.
 */
export function categoryOf(judgment: Judgment): number | undefined {
  switch (judgment.kind) {
    case 'pair':
      return pairChoices.indexOf(judgment.choice);
    case 'binary':
      return Number(judgment.good);
    case 'ranking': {
      const best = judgment.ranks.indexOf(Math.min(...judgment.ranks));
      return judgment.ranks.lastIndexOf(judgment.ranks[best]) === best ? best : undefined;
    }
    default:
      return undefined;
  }
}

/** The judgment of a category of `categoryOf`; for a ranking, the option ranked best comes first and the others tie. */
export function judgmentOf(category: number, kind: ItemKind, options: number): Judgment | undefined {
  if (kind === 'pair') return { kind, choice: pairChoices[category] };
  if (kind === 'binary') return { kind, good: category === 1 };
  if (kind !== 'ranking') return undefined;
  return { kind, ranks: Array.from({ length: options }, (_, i) => (i === category ? 1 : 2)) };
}
