/** Completions in steps in the embedded world: a model's own, whose steps are sentences. */

import { reviewPrompts } from '../../data/reviews/demonstrations.ts';
import { sentencesOf } from '../../data/reviews/recognize.ts';
import { goodSentences } from '../../data/reviews/sentences.ts';
import type { Row } from '../../data/row.ts';
import { encodeChat } from '../../lm/chat-template.ts';
import { createGenerator } from '../../lm/generate.ts';
import type { Model } from '../../lm/model.ts';
import { random, seedFor } from '../../random.ts';

/** The end of a sentence. */
export const SENTENCE = ' .';
/** Maximum tokens of a completion: more than any review of the world has. */
const MOST_TOKENS = 72;

/** Makes stepwise rows: the model completes random prompts, and each sentence is labeled good or not. */
export async function reviewSteps(model: Model, count: number, seed: number): Promise<Row[]> {
  const { config, parameters, tokenizer, ends } = model;
  const draws = random(seed, 'answers in steps');
  const prompts = Array.from({ length: count }, () => reviewPrompts[draws.integer(reviewPrompts.length)]);
  const conversations = prompts.map(({ text }) => [{ role: 'user', content: text }]);
  const generator = createGenerator(config, parameters.values);
  try {
    const answers = await generator.complete(
      conversations.map((prompt) => encodeChat(tokenizer, prompt, { addGenerationPrompt: true }).ids),
      { maxTokens: MOST_TOKENS, batch: 64, seed: seedFor(seed, 'answers in steps'), ends, tokenizer },
    );
    return answers.flatMap(({ text }, i) => {
      const words = text!.split(/\s+/).filter(Boolean);
      const good = goodSentences(prompts[i], words);
      const sentences = sentencesOf(words).map((sentence, k) => {
        const sentenceWords = sentence.at(-1) === '.' ? sentence.slice(0, -1) : sentence;
        return { text: ` ${sentenceWords.join(' ')}`, good: good[k] };
      });
      const steps = sentences.filter(({ text }) => text.trim() !== '');
      if (steps.length === 0) return [];
      return [
        { prompt: conversations[i], completions: steps.map(({ text }) => text), labels: steps.map(({ good }) => good) },
      ];
    });
  } finally {
    generator[Symbol.dispose]();
  }
}
