/** The embedded world of reviews as data: texts to pretrain on, demonstrations, prompts, and what is told of a model's answers. */
import type { Row } from '../../data/index.ts';
import {
  demonstration,
  describeTexts,
  review,
  reviewPrompts,
  reviewTokenizer,
  trueReward,
} from '../../data/reviews/index.ts';
import { encodeChat } from '../../lm/chat-template.ts';
import type { GeneratedCompletion } from '../../lm/generate.ts';
import { type Tokenizer, tokenizerFrom } from '../../lm/tokenizer.ts';
import { random } from '../../random.ts';
import type { SamplePrompt } from '../training/samples.ts';

export const worlds = ['reviews'] as const;

/** Conversations of one turn, of mixed quality. */
export function* reviewDemonstrations(count: number, seed: number): Generator<{ value: Row }> {
  const draws = random(seed, 'demonstrations');
  for (let i = 0; i < count; i++) {
    const { prompt, words } = demonstration(draws);
    const messages = [
      { role: 'user', content: prompt.text },
      { role: 'assistant', content: words.join(' ') },
    ];
    yield { value: { messages } };
  }
}

/** Texts to pretrain on, and the entropy of the grammar on them, in nats a token, their ends included. */
export function reviewTexts(count: number, seed: number, ...path: (string | number)[]) {
  const draws = random(seed, 'reviews', ...path);
  const reviews = Array.from({ length: count }, () => review(draws));
  const tokens = reviews.reduce((sum, { words }) => sum + words.length + 1, 0);
  return {
    texts: reviews.map(({ words }) => words.join(' ')),
    entropy: -reviews.reduce((sum, { logProbability }) => sum + logProbability, 0) / tokens,
  };
}

export function createReviewTokenizer(): Tokenizer {
  const { tokenizer, config } = reviewTokenizer();
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  return tokenizerFrom({ 'tokenizer.json': json(tokenizer), 'tokenizer_config.json': json(config) });
}

/** All prompts, so that the first few differ in place, length and wording: 29 has no divisor in common with their number. */
const asked = reviewPrompts.map((_, i) => reviewPrompts[(29 * i) % reviewPrompts.length]);

export const reviewSamplePrompts = (tokenizer: Tokenizer): SamplePrompt[] =>
  asked.map(({ text }) => ({ ids: encodeChat(tokenizer, [{ role: 'user', content: text }]).ids }));

/** What the answers to these prompts are worth by the true reward, and how well formed they are. */
export function measureResponses(answers: readonly GeneratedCompletion[]): Record<string, number> {
  const words = answers.map(wordsOf);
  const rewards = asked.map((prompt, i) => trueReward(prompt, words[i], answers[i].finish === 'eos').total);
  const reward = rewards.reduce((sum, value) => sum + value, 0) / rewards.length;
  return { 'reward/true': reward, 'text/accepted': describeTexts(words).accepted };
}

/** How well formed texts are, and how many of them are coherent. */
export function measureTexts(answers: readonly GeneratedCompletion[]): Record<string, number> {
  const { accepted, coherent, distinct2, uniqueSentences } = describeTexts(answers.map(wordsOf));
  return {
    'text/accepted': accepted,
    'text/coherent': coherent,
    'text/distinct2': distinct2,
    'text/unique_sentences': uniqueSentences,
  };
}

const wordsOf = ({ text }: GeneratedCompletion): string[] => text!.split(/\s+/).filter(Boolean);
