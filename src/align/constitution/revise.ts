/** Has a critic criticize and rewrite completions, in one or more rounds (Bai et al. 2022, §3.1). */
import type { Message } from '../../data/format.ts';
import { seedFor } from '../../random.ts';
import type { Chat, CompleteOptions } from '../judges/source.ts';
import type { Principle } from './principles.ts';

interface Round {
  principle: string;
  critique: string;
  revision: string;
}

/** A completion with its critiques and revisions. */
export interface Revised {
  prompt: Message[];
  /** The completion. */
  completion: string;
  rounds: Round[];
  /** The prompt, the completion, and all critiques and revisions. */
  conversation: Message[];
  /** Why it is left out of the data. */
  leftOut?: 'no completion' | 'no revision' | 'too long';
}

/** The last revision; without one, the completion. */
export const lastOf = ({ completion, rounds }: Revised): string => rounds.at(-1)?.revision ?? completion;

/** A message of the assistant. */
export const assistant = (content: string): Message => ({ role: 'assistant', content });
const user = (content: string): Message => ({ role: 'user', content });

interface Begun {
  item: Revised;
  principle: Principle;
  messages: Message[];
}

/**
 * Revises each completion `rounds` times, by the principles that `draw` gives. In each round the critic reads the
 * prompt and the latest revision, but not earlier critiques.
 */
export async function reviseCompletions(
  critic: Chat,
  items: readonly { prompt: Message[]; completion: string }[],
  rounds: number,
  draw: (item: number, round: number) => Principle,
  { seed = 0, ...options }: CompleteOptions,
): Promise<Revised[]> {
  const all = items.map(
    ({ prompt, completion }): Revised => ({
      prompt,
      completion,
      rounds: [],
      conversation: [...prompt, assistant(completion)],
      ...(completion === '' && { leftOut: 'no completion' }),
    }),
  );
  /** Adds the critic's reply to each conversation; those too long for the critic are left out. */
  const reply = async (begun: readonly Begun[], ...purpose: (string | number)[]): Promise<Begun[]> => {
    const fitting = begun.filter(({ messages }) => critic.fits?.(messages) ?? true);
    for (const { item } of begun.filter((one) => !fitting.includes(one))) item.leftOut = 'too long';
    const conversations = fitting.map(({ messages }) => messages);
    const replies = await critic.complete(conversations, { ...options, seed: seedFor(seed, ...purpose) });
    return fitting.map((one, i) => ({ ...one, messages: [...one.messages, assistant(replies[i])] }));
  };
  for (let round = 0; round < rounds; round++) {
    const begun = all.flatMap((item, i): Begun[] => {
      if (item.leftOut) return [];
      const principle = draw(i, round);
      const messages = [...item.prompt, assistant(lastOf(item)), user(principle.critique)];
      return [{ item, principle, messages }];
    });
    const criticized = (await reply(begun, 'critique', round)).map((one) => ({
      ...one,
      messages: [...one.messages, user(one.principle.revision)],
    }));
    for (const { item, principle, messages } of await reply(criticized, 'revision', round)) {
      const last = messages.slice(-4);
      item.conversation.push(...last);
      const [, { content: critique }, , { content: revision }] = last;
      if (revision === '') item.leftOut = 'no revision';
      else item.rounds.push({ principle: principle.text, critique, revision });
    }
  }
  return all;
}
