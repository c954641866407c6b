/** An answer is criticized by a principle and written again, as often as there are rounds (Bai et al. 2022, §3.1). */
import type { Message } from '../../data/index.ts';
import { seedFor } from '../../random.ts';
import type { Chat, CompleteOptions } from '../judges/source.ts';
import type { Principle } from './principles.ts';

interface Round {
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
  /** Why nothing is learned from it. */
  leftOut?: 'no answer' | 'no revision' | 'too long';
}

export const lastOf = ({ answer, rounds }: Revised): string => rounds.at(-1)?.revision ?? answer;

export const assistant = (content: string): Message => ({ role: 'assistant', content });
const user = (content: string): Message => ({ role: 'user', content });

interface Begun {
  item: Revised;
  principle: Principle;
  messages: Message[];
}

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
  /** What the critic says of those that it has room for; the others are left out. */
  const say = async (begun: readonly Begun[], ...purpose: (string | number)[]): Promise<Begun[]> => {
    const heard = begun.filter(({ messages }) => critic.fits?.(messages) ?? true);
    for (const { item } of begun.filter((one) => !heard.includes(one))) item.leftOut = 'too long';
    const conversations = heard.map(({ messages }) => messages);
    const said = await critic.complete(conversations, { ...options, seed: seedFor(seed, ...purpose) });
    return heard.map((one, i) => ({ ...one, messages: [...one.messages, assistant(said[i])] }));
  };
  for (let round = 0; round < rounds; round++) {
    const begun = all.flatMap((item, i): Begun[] => {
      if (item.leftOut) return [];
      const principle = draw(i, round);
      const messages = [...item.prompt, assistant(lastOf(item)), user(principle.critique)];
      return [{ item, principle, messages }];
    });
    const criticized = (await say(begun, 'critique', round)).map((one) => ({
      ...one,
      messages: [...one.messages, user(one.principle.revision)],
    }));
    for (const { item, principle, messages } of await say(criticized, 'revision', round)) {
      const last = messages.slice(-4);
      item.conversation.push(...last);
      const [, { content: critique }, , { content: revision }] = last;
      if (revision === '') item.leftOut = 'no revision';
      else item.rounds.push({ principle: principle.text, critique, revision });
    }
  }
  return all;
}
