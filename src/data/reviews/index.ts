/** The embedded text world: reviews of places, with a recognizer and a true reward. */

export * from './demonstrations.ts';
export * from './describe.ts';
export { type Review, review } from './generate.ts';
export type { Tone } from './grammar.ts';
export * from './recognize.ts';
export * from './reward.ts';
export * from './sentences.ts';
export * from './tokenizer.ts';
export { places, type ReviewedPlace } from './words.ts';
