/** An answer is criticised by a principle and written again, as often as there are rounds (Bai et al. 2022, §3.1). */
import type { Message } from '../../data/index.ts';
import { seedFor } from '../../random.ts';
import type { Chat, CompleteOptions } from '../judges/chat.ts';
import type { Principle } from './principles.ts';

export interface Round {
  principle: string;
  critique: string;
  revision: string;
}

export interface Revised {
  prompt: Message[];
  answer: string;
  rounds: Round[];
  /** The prompt, the answer, and all that was said of it. */
  conversation: Message[];
  /** Why nothing is learnt from it. */
  leftOut?: 'no answer' | 'no revision';
}

export const lastOf = ({ answer, rounds }: Revised): string => rounds.at(-1)?.revision ?? answer;

export const assistant = (content: string): Message => ({ role: 'assistant', content });
const user = (content: string): Message => ({ role: 'user', content });

/**
 * Of each answer, so many revisions by principles that `draw` gives. In each round the critic reads the prompt and the answer as it
 * stands, and not what was said of it before.
 */
export async function reviseAnswers(
  critic: Chat,
  asked: readonly { prompt: Message[]; answer: string }[],
  rounds: number,
  draw: (item: number, round: number) => Principle,
  { seed = 0, ...options }: CompleteOptions,
): Promise<Revised[]> {
  const all = asked.map(
    ({ prompt, answer }): Revised => ({
      prompt,
      answer,
      rounds: [],
      conversation: [...prompt, assistant(answer)],
      ...(answer === '' && { leftOut: 'no answer' }),
    }),
  );
  const say = (conversations: readonly Message[][], ...purpose: (string | number)[]) =>
    critic.complete(conversations, { ...options, seed: seedFor(seed, ...purpose) });
  for (let round = 0; round < rounds; round++) {
    const items = [...all.keys()].filter((i) => !all[i].leftOut);
    const principles = items.map((i) => draw(i, round));
    const begun = items.map((i, at) => [...all[i].prompt, assistant(lastOf(all[i])), user(principles[at].critique)]);
    const critiques = await say(begun, 'critique', round);
    const heard = begun.map((messages, at) => [...messages, assistant(critiques[at]), user(principles[at].revision)]);
    const revisions = await say(heard, 'revision', round);
    for (const [at, i] of items.entries()) {
      const [critique, revision] = [critiques[at], revisions[at]];
      all[i].conversation.push(...heard[at].slice(-3), assistant(revision));
      if (revision === '') all[i].leftOut = 'no revision';
      else all[i].rounds.push({ principle: principles[at].text, critique, revision });
    }
  }
  return all;
}
