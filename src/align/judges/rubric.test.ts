import { expect, it } from 'vitest';
import type { Completion } from '../reward-functions/reward-function.ts';
import { openRubricReward } from './rubric.ts';
import type { Chat, CompleteOptions, Conversation } from './source.ts';

const completion = (text: string): Completion => ({
  prompt: [1],
  response: [2],
  ended: true,
  promptText: 'Why is the sky blue?',
  text,
});
/** A judge that rates by the length of an answer, and mumbles about some. */
const judge = (mumbles: (completion: string, seed: number) => boolean = () => false) => {
  const asked: string[] = [];
  const chat: Chat = {
    name: 'judge',
    async complete(conversations: readonly Conversation[], { seed = 0 }: CompleteOptions = {}) {
      return conversations.map(([{ content }]) => {
        asked.push(content as string);
        const completion = /Answer:\n(.*)\n/.exec(content as string)![1];
        if (mumbles(completion, seed)) return 'It is quite good, {"correct": 99}.';
        return `I think:\n\`\`\`json\n{"correct": ${Math.min(5, completion.length)}, "short": "${6 - Math.min(5, completion.length)}"}\n\`\`\``;
      });
    },
  };
  return { chat, asked };
};
const criteria = { correct: { text: 'Every statement is true.', weight: 3 }, short: 'It is short.' };

it('rates completions by weighted criteria, each a part of the reward', async () => {
  const { chat, asked } = judge();
  using reward = await openRubricReward(chat, { criteria, points: 5 });
  const { scores, parts, others } = await reward.explain!(['a', 'abc', 'abcde'].map(completion));
  expect(scores).toEqual([0.25, 0.5, 0.75]);
  expect(parts).toEqual([
    { name: 'correct', weight: 0.75, scores: [0, 0.5, 1] },
    { name: 'short', weight: 0.25, scores: [1, 0.5, 0] },
  ]);
  expect(others).toEqual([{ name: 'judge/unreadable', scores: [0, 0, 0] }]);
  expect(asked[0]).toContain('- correct: Every statement is true.');
  expect(asked[0]).toContain('from 1 (not at all) to 5 (fully)');
});

it('asks again for what cannot be read, then gives the mean of the others, or fails if nothing can be read', async () => {
  const once = judge((completion, seed) => completion === 'abc' && seed === 0);
  const twice = judge((completion) => completion === 'abc');
  const scores = async (chat: Chat) => {
    using reward = await openRubricReward(chat, { criteria, points: 5 });
    return reward.explain!(['a', 'abc', 'abcd'].map(completion));
  };
  expect((await scores(once.chat)).scores[1]).toBe(0.5);
  expect(once.asked).toHaveLength(4);
  const { parts, others } = await scores(twice.chat);
  expect(parts![0].scores).toEqual([0, 0.375, 0.75]);
  expect(others![0].scores).toEqual([0, 1, 0]);
  await expect(scores(judge(() => true).chat)).rejects.toThrow('rated none of 3 completions');
});

it('refuses a rubric that cannot be rated by', async () => {
  const { chat } = judge();
  await expect(openRubricReward(chat, { criteria: {} })).rejects.toThrow('got no criterion');
  await expect(openRubricReward(chat, { criteria: { good: { text: 'good', weight: 0 } } })).rejects.toThrow(
    '"good" with',
  );
  await expect(openRubricReward(chat, { criteria, points: 1 })).rejects.toThrow('above 1, got 1');
});
