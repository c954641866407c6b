/** Rewards of the embedded world: the true reward, each of its parts, and the share of good sentences. */

import type { ReviewPrompt } from '../../data/reviews/demonstrations.ts';
import { describeTexts } from '../../data/reviews/describe.ts';
import { sentencesOf } from '../../data/reviews/recognize.ts';
import { type RewardParts, trueReward } from '../../data/reviews/reward.ts';
import { goodSentences } from '../../data/reviews/sentences.ts';
import { HeedError } from '../../error.ts';
import type { Completion, Reward, Scores, StepReward } from '../reward-functions/reward-function.ts';
import { reviewPromptIn } from './comparisons.ts';

const parts = ['tone', 'topic', 'length', 'form', 'repetition', 'gush', 'end'] as const satisfies (keyof RewardParts)[];

/** Names of the rewards of the embedded world. */
export const reviewRewards = ['reviews', 'reviews:sentences', ...parts.map((part) => `reviews:${part}`)];

/** The reward of a name out of `reviewRewards`; `reviews` is the whole true reward. */
export function reviewReward(name = 'reviews'): Reward {
  if (name === 'reviews:sentences') return sentenceReward(name);
  const part = parts.find((part) => name === `reviews:${part}`);
  return {
    name,
    async score(completions) {
      return completions.map((completion) => {
        const reward = trueReward(promptOf(completion, name), wordsOf(completion), completion.ended);
        return part ? reward.parts[part] : reward.total;
      });
    },
  };
}

/** Steps are sentences: each good one of K has the reward 1 / K. */
function sentenceReward(name: string): Reward {
  const explain = async (completions: readonly Completion[]): Promise<Scores> => {
    const steps = completions.map((completion) => {
      const good = goodSentences(promptOf(completion, name), wordsOf(completion));
      const ends = sentenceEnds(completion.text);
      return good.map((is, i): StepReward => ({ end: ends[i], reward: Number(is) / good.length }));
    });
    return { steps, scores: steps.map((sentences) => sentences.reduce((sum, { reward }) => sum + reward, 0)) };
  };
  return { name, explain, score: async (completions) => (await explain(completions)).scores };
}

/** Characters of a text up to the end of each sentence. */
function sentenceEnds(text: string): number[] {
  const words = [...text.matchAll(/\S+/g)].map(({ 0: word, index }) => ({ word, end: index + word.length }));
  let next = 0;
  return sentencesOf(words.map(({ word }) => word)).map(({ length }) => {
    next += length;
    return words[next - 1].end;
  });
}

const wordsOf = ({ text }: Completion) => text.split(/\s+/).filter(Boolean);

function promptOf({ promptText }: Completion, name: string): ReviewPrompt {
  const prompt = reviewPromptIn(promptText);
  if (prompt) return prompt;
  throw new HeedError(`The reward "${name}" has no such prompt: "${promptText.slice(0, 80)}".`, {
    hint: 'It scores completions of the prompts of the embedded world. For other prompts, set --reward.',
  });
}

/**
 * Measures of completions of the embedded world's prompts: their true reward, and the quality of their sentences; and
 * the true reward of each.
 */
export function measureReviews(completions: readonly Completion[]): {
  metrics: Record<string, number>;
  gold: number[];
} {
  const prompts = completions.map(({ promptText }) => reviewPromptIn(promptText)!);
  const words = completions.map(wordsOf);
  const gold = completions.map(({ ended }, i) => trueReward(prompts[i], words[i], ended).total);
  const good = prompts.flatMap((prompt, i) => goodSentences(prompt, words[i]));
  const { accepted, distinct2 } = describeTexts(words);
  const metrics = {
    'reward/true': gold.reduce((sum, total) => sum + total, 0) / completions.length,
    'text/accepted': accepted,
    'text/good': good.filter(Boolean).length / Math.max(1, good.length),
    'text/distinct2': distinct2,
  };
  return { metrics, gold };
}
